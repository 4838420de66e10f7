package nar

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// A struct linux_dirent64 is inode (8 bytes), offset (8), its own length (2),
// type (1), and the name, which a NUL ends. See getdents64(2).
const (
	direntLen  = 16
	direntType = 18
	direntName = 19
)

// list appends the entries of the directory fd, "." and ".." left out, in no
// order. It reads types along with names, which saves a stat of each.
func list(fd int, buf []byte, entries []dirent) ([]dirent, error) {
	var names []byte
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return entries, nil
		}
		first := len(entries)
		names = names[:0]
		for b := buf[:n]; len(b) > 0; {
			size := int(binary.NativeEndian.Uint16(b[direntLen:]))
			name := b[direntName:size]
			name = name[:bytes.IndexByte(name, 0)]
			if string(name) != "." && string(name) != ".." {
				entries = append(entries, dirent{fileType: uint32(b[direntType]) << 12, length: uint32(len(name))})
				names = append(names, name...)
			}
			b = b[size:]
		}
		// One string holds all names, so that they cost one allocation.
		all := string(names)
		for i := first; i < len(entries); i++ {
			entries[i].name, all = all[:entries[i].length], all[entries[i].length:]
		}
	}
}
