package nar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// The modes of a store object, and the time: one second after the epoch, as
// some programs take zero for "none".
const (
	modeFile = 0o444
	modeExec = 0o555
	modeDir  = 0o555
	epoch    = 1
)

// Extract makes dst, which must not exist, from the NAR in r. Its parent must
// exist. Modes are those of a store, 0444 for files and 0555 for executables
// and directories, and every mtime is 1, that of symlinks too; umask and user
// do not matter. On an error nothing is left of dst.
//
// A malformed NAR is an error of class fault.Refused; r is read to its end, and
// must hold nothing else. What the NAR says cannot lead out of dst: every name is
// made new, in a directory that Extract made and holds open.
//
// Nothing is synced. A user who is not root can rename dst within its parent
// only, as a directory that moves elsewhere must be writable.
//
// written, which may be nil, is called with the descriptor and the size of each
// file that has contents when they are written. If it returns true it has taken the
// descriptor, to close it at any time.
func Extract(ctx context.Context, r io.Reader, dst string, written func(fd int, size int64) (taken bool)) error {
	dst = filepath.Clean(dst)
	parent, err := openDirectory(filepath.Dir(dst))
	if err != nil {
		return fmt.Errorf("extract NAR to %q: %w", dst, err)
	}
	defer unix.Close(parent)
	x := &extractor{ctx: ctx, r: NewReader(r), dst: dst, written: written}
	x.dirs = append(x.dirs, targetDir{fd: parent})
	if err := x.run(); err != nil {
		return errors.Join(err, x.abandon())
	}
	return nil
}

// extractor writes one tree. The first of its directories is dst's parent, in
// which dst itself is an entry like any other.
type extractor struct {
	ctx  context.Context
	r    *Reader
	dst  string
	made bool        // dst exists, and is ours
	dirs []targetDir // the directories being filled
	buf  []byte      // as large as the largest file so far, up to bufSize

	written func(fd int, size int64) (taken bool) // or nil
}

// targetDir is a directory being filled, and its name in the one above it.
type targetDir struct {
	fd   int
	name string
	path string // in the NAR
}

func (x *extractor) run() error {
	for {
		if err := x.ctx.Err(); err != nil {
			return x.fail("", err)
		}
		h, err := x.r.Next()
		if err == io.EOF {
			return x.leave(1)
		}
		if err != nil {
			return fmt.Errorf("extract NAR to %q: %w", x.dst, err)
		}
		if err := x.node(h); err != nil {
			return err
		}
	}
}

// node makes the node of h in the directory that it belongs to.
func (x *extractor) node(h *Header) error {
	depth := 1 + len(x.r.open) // directories between the parent and this node
	if h.Type == TypeDirectory {
		depth-- // the Reader has opened it already
	}
	if err := x.leave(depth); err != nil {
		return err
	}
	dir, name := x.dirs[len(x.dirs)-1], filepath.Base(x.dst)
	if h.Path != "" {
		name = h.Path[len(dir.path):]
		if dir.path != "" {
			name = name[1:]
		}
	}
	err := x.create(dir.fd, name, h)
	if err != nil {
		return x.fail(h.Path, err)
	}
	return nil
}

func (x *extractor) create(dir int, name string, h *Header) error {
	switch h.Type {
	case TypeDirectory:
		return x.directory(dir, name, h.Path)
	case TypeSymlink:
		if err := symlinkat(h.LinkTarget, dir, name); err != nil {
			return err
		}
		x.made = true
		return setEpoch(dir, name)
	}
	return x.regular(dir, name, h)
}

// directory makes a directory and goes into it.
func (x *extractor) directory(dir int, name, path string) error {
	if err := mkdirat(dir, name, 0o700); err != nil {
		return err
	}
	x.made = true
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	x.dirs = append(x.dirs, targetDir{fd: fd, name: name, path: path})
	return nil
}

// leave ends directories until depth are open, the parent of dst among them.
func (x *extractor) leave(depth int) error {
	for len(x.dirs) > depth {
		last := x.dirs[len(x.dirs)-1]
		x.dirs = x.dirs[:len(x.dirs)-1]
		err := fchmod(last.fd, modeDir)
		unix.Close(last.fd)
		if err == nil {
			err = setEpoch(x.dirs[len(x.dirs)-1].fd, last.name)
		}
		if err != nil {
			return x.fail(last.path, err)
		}
	}
	return nil
}

func (x *extractor) regular(dir int, name string, h *Header) error {
	mode := uint32(modeFile)
	if h.Executable {
		mode = modeExec
	}
	fd, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return err
	}
	x.made = true
	err = x.contents(fd, h.Size)
	if err == nil {
		err = fchmod(fd, mode) // the umask may have taken bits
	}
	if taken := err == nil && h.Size > 0 && x.written != nil && x.written(fd, h.Size); !taken {
		if closed := unix.Close(fd); err == nil {
			err = closed
		}
	}
	if err == nil {
		err = setEpoch(dir, name)
	}
	return err
}

func (x *extractor) contents(fd int, size int64) error {
	if want := min(size, bufSize); int64(len(x.buf)) < want {
		x.buf = make([]byte, min(bufSize, 2*want))
	}
	for left := size; left > 0; {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		chunk := x.buf[:min(left, int64(len(x.buf)))]
		if _, err := io.ReadFull(x.r, chunk); err != nil {
			return err
		}
		if err := writeAll(fd, chunk); err != nil {
			return err
		}
		left -= int64(len(chunk))
	}
	return nil
}

// fail returns err with the place on disk, and a class where it has a plain one.
func (x *extractor) fail(path string, err error) error {
	where := x.dst
	if path != "" {
		where += "/" + path
	}
	wrapped := fmt.Errorf("extract NAR to %q: %w", where, err)
	switch err {
	case unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS:
		return fault.New(fault.IO, wrapped)
	case unix.ENAMETOOLONG, unix.EILSEQ, unix.EINVAL, unix.EEXIST:
		// The Reader passes nothing that most file systems do not keep.
		if path != "" || err != unix.EEXIST {
			return fault.Hint(fault.New(fault.IO, wrapped), unkept)
		}
	}
	return wrapped
}

// unkept is for what some file systems do not keep: xfs no targets of symlinks of
// more than 1,023 bytes, others no names that are no UTF-8, or no two of them that
// differ in the case of letters.
const unkept = "this file system cannot keep that name, or the target of that symlink: put the store on another one"

// abandon removes what was made of dst.
func (x *extractor) abandon() error {
	for _, d := range x.dirs[1:] {
		unix.Close(d.fd)
	}
	if !x.made {
		return nil
	}
	if err := remove(x.dirs[0].fd, filepath.Base(x.dst)); err != nil {
		return fmt.Errorf("remove what was extracted of %q: %w", x.dst, err)
	}
	return nil
}

// remove removes the entry name of dir and all below it, read-only directories
// too. It follows no symlink.
func remove(dir int, name string) error {
	err := unlinkat(dir, name, 0)
	if err != unix.EISDIR && err != unix.EPERM { // POSIX has EPERM for a directory
		return err
	}
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := fchmod(fd, 0o700); err != nil {
		return err
	}
	entries, err := list(fd, make([]byte, 8<<10), nil)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := remove(fd, e.name); err != nil {
			return err
		}
	}
	return unlinkat(dir, name, unix.AT_REMOVEDIR)
}
