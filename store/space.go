package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// full adds to an error for want of space how many bytes were needed, and how
// much there is. It is to be called when what was written is removed again: the
// next try then finds that much. Other errors are returned as they are.
func (s *Store) full(err error, needed string) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	dir := s.fullDir(err)
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return err
	}
	err = fmt.Errorf("%w: it needs %s bytes, and the file system of %s has %d bytes and %d inodes free",
		err, needed, dir, uint64(st.Bavail)*uint64(st.Bsize), st.Ffree)
	return fault.Hint(err, "free some space, or inodes (df -i), there: terrine store gc removes what nothing keeps; or use another store")
}

// fullDir returns a directory of the file system that err says is full: the
// index may lie on another than the objects.
func (s *Store) fullDir(err error) string {
	var path string
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		path = e.Path
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		path = e.New
	}
	for dir := filepath.Dir(path); strings.HasPrefix(dir, s.root+string(filepath.Separator)); dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir
		}
	}
	return s.path(objectsDir)
}
