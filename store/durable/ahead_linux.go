package durable

import (
	"errors"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// Reserve makes sure that the disk has room for a file of size bytes, and lets
// the filesystem lay it out in one piece. It does nothing where the filesystem
// cannot.
func (f *File) Reserve(size int64) error {
	err := fault.Retry(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, size) })
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return err
	}
	return nil
}

// writeAhead asks the disk to begin with n bytes at off, so that little is left
// to wait for in Commit. It is advice: errors show when the file is synced.
func (f *File) writeAhead(off int64, n int) {
	if !f.o.NoSync {
		_ = unix.SyncFileRange(int(f.Fd()), off, int64(n), unix.SYNC_FILE_RANGE_WRITE)
	}
}

// askForFile does the same for a whole file, and closes it.
func askForFile(fd int) {
	_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	_ = unix.Close(fd)
}
