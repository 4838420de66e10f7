package nar

import (
	"golang.org/x/sys/unix"
)

// The calls below are those of x/sys/unix, tried again when a signal has
// interrupted them, as filesystems in user space allow. They cost half of what
// package os's do on small files, and take a directory's descriptor, so that
// nobody who renames directories meanwhile can lead them elsewhere.

// openFlags are in every open: a symlink is never followed, a FIFO never waited
// for, and a process started meanwhile inherits nothing.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|openFlags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func lstatat(dir int, name string, st *unix.Stat_t) error {
	for {
		if err := unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW); err != unix.EINTR {
			return err
		}
	}
}

func fstat(fd int, st *unix.Stat_t) error {
	for {
		if err := unix.Fstat(fd, st); err != unix.EINTR {
			return err
		}
	}
}

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
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
