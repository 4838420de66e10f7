package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// wholeFilesystem: one call brings a whole filesystem to disk.
const wholeFilesystem = true

func syncFilesystem(dir *os.File) error {
	err := fault.Retry(func() error { return unix.Syncfs(int(dir.Fd())) })
	if errors.Is(err, unix.ENOSYS) {
		return fault.Hint(fault.New(fault.IO, err), "this kernel, or the sandbox around this process, has no syncfs(2), without which nothing here is safe from a power cut: use another one")
	}
	return err
}
