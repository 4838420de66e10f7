package nar

import (
	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// The calls below are those of x/sys/unix, tried again when a signal has
// interrupted them, as filesystems in user space allow. They cost half of what
// package os's do on small files, and take a directory's descriptor, so that
// nobody who renames directories meanwhile can lead them elsewhere.

// openFlags are in every open: a symlink is never followed, a FIFO never waited
// for, and a process started meanwhile inherits nothing.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = fault.Retry(func() error {
		fd, err = unix.Openat(dir, name, flags|openFlags, mode)
		return err
	})
	return fd, err
}

// openDirectory opens a directory by its path, symlinks on the way and at the
// end followed: the user names it, not a NAR.
func openDirectory(path string) (fd int, err error) {
	err = fault.Retry(func() error {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

func lstatat(dir int, name string, st *unix.Stat_t) error {
	return fault.Retry(func() error { return unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

func fstat(fd int, st *unix.Stat_t) error {
	return fault.Retry(func() error { return unix.Fstat(fd, st) })
}

func read(fd int, b []byte) (n int, err error) {
	err = fault.Retry(func() error {
		n, err = unix.Read(fd, b)
		return err
	})
	return n, err
}

func readlinkat(dir int, name string, b []byte) (n int, err error) {
	err = fault.Retry(func() error {
		n, err = unix.Readlinkat(dir, name, b)
		return err
	})
	return n, err
}

func mkdirat(dir int, name string, mode uint32) error {
	return fault.Retry(func() error { return unix.Mkdirat(dir, name, mode) })
}

func symlinkat(target string, dir int, name string) error {
	return fault.Retry(func() error { return unix.Symlinkat(target, dir, name) })
}

func unlinkat(dir int, name string, flags int) error {
	return fault.Retry(func() error { return unix.Unlinkat(dir, name, flags) })
}

func fchmod(fd int, mode uint32) error {
	return fault.Retry(func() error { return unix.Fchmod(fd, mode) })
}

// setEpoch sets the times of a file or symlink to those of a store.
func setEpoch(dir int, name string) error {
	at := unix.Timespec{Sec: epoch}
	return fault.Retry(func() error {
		return unix.UtimesNanoAt(dir, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// writeAll writes all of b.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && err != unix.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// fileType returns the type bits of a mode.
func fileType(st *unix.Stat_t) uint32 { return uint32(st.Mode) & unix.S_IFMT }

// kindOf says in words what a file is that has no place in a store object.
func kindOf(fileType uint32) string {
	switch fileType {
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFBLK, unix.S_IFCHR:
		return "a device"
	}
	return "a file of unknown type"
}
