//go:build !linux

package nar

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// list appends the entries of the directory fd, in no order.
func list(fd int, _ []byte, entries []dirent) ([]dirent, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(own), "directory")
	defer dir.Close()
	found, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		entries = append(entries, dirent{name: e.Name(), fileType: typeBits(e.Type())})
	}
	return entries, nil
}

// typeBits returns the type bits of a mode, or 0 where a stat must tell.
func typeBits(m fs.FileMode) uint32 {
	switch {
	case m.IsRegular():
		return unix.S_IFREG
	case m.IsDir():
		return unix.S_IFDIR
	case m&fs.ModeSymlink != 0:
		return unix.S_IFLNK
	}
	return 0
}
