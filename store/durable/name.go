package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// maxBase is how long a name in a directory may be.
const maxBase = 255

// tempBase returns how the base names of temporary files begin for a target with
// the given base name. A token follows, and there is room for it: what is too long
// is cut, so that a name as long as can be has temporary ones too.
func tempBase(base string) string {
	return "." + base[:min(len(base), maxBase-tokenLen-len(".."))] + "."
}

// tempName returns the name of a temporary file for target.
func tempName(target, token string) string {
	dir, base := filepath.Split(target)
	return dir + tempBase(base) + token // and not Join: ".." is above where a symlink before it leads
}

// dirOf returns the directory of a file.
func dirOf(target string) string {
	dir, _ := filepath.Split(target)
	if dir == "" {
		return "."
	}
	if short := strings.TrimRight(dir, "/"); short != "" {
		return short
	}
	return dir
}

// openAs makes a new file whose errors call it by another name: that of a
// temporary file says nothing to who asked for the target.
func openAs(name, as string, perm os.FileMode) (*os.File, error) {
	var fd int
	err := fault.Retry(func() (err error) {
		fd, err = unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), as), nil
}

// WriteError returns err, which writing target has met, as "write TARGET: cause",
// with the name of the target once, and with no name of a temporary file, if err is
// that of a File for it.
func WriteError(target string, err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		if e.Path == target {
			err = e.Err
		}
	case *os.LinkError:
		err = e.Err
	}
	return fmt.Errorf("write %s: %w", target, err)
}

// createError is WriteError for what has not begun.
func createError(target string, err error) error {
	dir := dirOf(target)
	_, lacking := os.Stat(dir)
	wrapped := WriteError(target, err)
	if errors.Is(err, fs.ErrNotExist) && errors.Is(lacking, fs.ErrNotExist) {
		return fault.Hint(wrapped, "there is no directory "+dir+": make it first")
	}
	return wrapped
}
