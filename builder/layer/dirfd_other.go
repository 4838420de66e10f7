//go:build unix && !linux

package layer

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const openRootFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC

func openBeneath(dir int, path string, flags int) (int, error) {
	return openStepwise(dir, path, flags)
}

type dirent struct {
	name string
	mode fs.FileMode
}

// list returns the entries of the directory fd, in no order.
func (r *dirReader) list(fd int) ([]dirent, error) {
	dup, err := unix.Dup(fd)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(dup)
	f := os.NewFile(uintptr(dup), "directory")
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	all := make([]dirent, len(entries))
	for i, e := range entries {
		all[i] = dirent{name: e.Name(), mode: fs.ModeIrregular}
		if t := e.Type(); t == fs.ModeDir || t == fs.ModeSymlink {
			all[i].mode = t
		}
	}
	return all, nil
}
