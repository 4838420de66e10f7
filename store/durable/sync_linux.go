package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// wholeFilesystem: one call brings a whole filesystem to disk.
const wholeFilesystem = true

func syncFilesystem(dir *os.File) error {
	for {
		err := unix.Syncfs(int(dir.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
