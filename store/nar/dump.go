package nar

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// Dump writes the NAR of the file, symlink or directory at path to w, which is
// what `nix-store --dump path` does. A symlink is dumped as such, at path too.
// A file is executable when its owner may execute it.
//
// A socket, device or FIFO, and a name or depth that no NAR can have, is an
// error of class fault.Refused that names it; so is a file whose size or mtime
// changes while it is read. The number of links and the ctime may change at any
// time: Nix replaces equal files by hard links. w may have had part of a NAR
// when an error comes; Dump buffers, and needs no buffered writer.
func Dump(ctx context.Context, w io.Writer, path string) error {
	d := &dumper{ctx: ctx, enc: newEncoder(w), path: []byte(path)}
	d.enc.raw(tokMagic)
	if err := d.node(unix.AT_FDCWD, path, 0, 0); err != nil {
		return err
	}
	d.enc.flush()
	return d.interrupted()
}

// Hash returns the NAR hash (SHA-256) and the NAR size in bytes of what is at
// path. Its errors are those of Dump.
func Hash(ctx context.Context, path string) (digest.Digest, int64, error) {
	h := &hasher{Hash: sha256.New()}
	if err := Dump(ctx, h, path); err != nil {
		return "", 0, err
	}
	return digest.NewDigest(digest.SHA256, h), h.n, nil
}

// hasher is a hash that counts.
type hasher struct {
	hash.Hash
	n int64
}

func (h *hasher) Write(b []byte) (int, error) {
	h.n += int64(len(b))
	return h.Hash.Write(b)
}

// dirent is an entry of a directory on disk.
type dirent struct {
	name     string
	fileType uint32 // as in a mode; 0 where the filesystem does not tell
	length   uint32 // of name, for list
}

// dumper walks one tree. Its buffers are shared by all directories.
type dumper struct {
	ctx     context.Context
	enc     *encoder
	path    []byte             // of the node at hand, for errors
	lists   [MaxDepth][]dirent // of the open directories, by depth
	dirents []byte             // what getdents fills; nil before the first directory
	target  [MaxTargetLen + 1]byte
}

// node dumps the node name of the directory dir.
func (d *dumper) node(dir int, name string, fileTypeBits uint32, depth int) error {
	if err := d.interrupted(); err != nil {
		return err
	}
	if depth >= MaxDepth {
		return d.refuse(fmt.Errorf("nested deeper than %d", MaxDepth))
	}
	if fileTypeBits == 0 {
		var st unix.Stat_t
		if err := lstatat(dir, name, &st); err != nil {
			return d.fail(err)
		}
		fileTypeBits = fileType(&st)
	}
	switch fileTypeBits {
	case unix.S_IFREG:
		return d.regular(dir, name)
	case unix.S_IFDIR:
		return d.directory(dir, name, depth)
	case unix.S_IFLNK:
		return d.symlink(dir, name)
	}
	return d.refuse(fmt.Errorf("it is %s, which no store object may contain", kindOf(fileTypeBits)))
}

func (d *dumper) regular(dir int, name string) error {
	fd, err := openat(dir, name, unix.O_RDONLY, 0)
	if err != nil {
		return d.fail(err)
	}
	defer unix.Close(fd)
	var before, after unix.Stat_t
	if err := fstat(fd, &before); err != nil {
		return d.fail(err)
	}
	if fileType(&before) != unix.S_IFREG {
		return d.refuse(errors.New("it changed while it was read"))
	}
	d.enc.regular(before.Size, uint32(before.Mode)&unix.S_IXUSR != 0)
	if err := d.contents(fd, before.Size); err != nil {
		return err
	}
	d.enc.regularEnd(before.Size)
	if err := fstat(fd, &after); err != nil {
		return d.fail(err)
	}
	if after.Size != before.Size || after.Mtim != before.Mtim {
		return d.refuse(errors.New("it changed while it was read"))
	}
	return nil
}

// contents reads size bytes straight into the encoder's buffer.
func (d *dumper) contents(fd int, size int64) error {
	e := d.enc
	e.room(size)
	for left := size; left > 0; {
		if len(e.buf) == cap(e.buf) {
			e.flush()
			if err := d.interrupted(); err != nil {
				return err
			}
		}
		free := e.buf[len(e.buf):cap(e.buf)]
		n, err := read(fd, free[:min(int64(len(free)), left)])
		switch {
		case err != nil:
			return d.fail(err)
		case n == 0:
			return d.refuse(errors.New("it changed while it was read: it became shorter"))
		}
		e.buf = e.buf[:len(e.buf)+n]
		left -= int64(n)
	}
	return nil
}

// interrupted returns why there is no use in going on.
func (d *dumper) interrupted() error {
	if d.enc.err != nil {
		return fmt.Errorf("write NAR: at %q: %w", d.path, d.enc.err)
	}
	if err := d.ctx.Err(); err != nil {
		return d.fail(err)
	}
	return nil
}

func (d *dumper) symlink(dir int, name string) error {
	n, err := readlinkat(dir, name, d.target[:])
	if err != nil {
		return d.fail(err)
	}
	target := string(d.target[:n])
	if err := checkTarget(target); err != nil {
		return d.refuse(err)
	}
	d.enc.symlink(target)
	return nil
}

func (d *dumper) directory(dir int, name string, depth int) error {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return d.fail(err)
	}
	defer unix.Close(fd)
	if d.dirents == nil {
		d.dirents = make([]byte, 32<<10)
	}
	entries, err := list(fd, d.dirents, d.lists[depth][:0])
	if err != nil {
		return d.fail(err)
	}
	d.lists[depth] = entries
	slices.SortFunc(entries, func(a, b dirent) int { return strings.Compare(a.name, b.name) })
	d.enc.raw(tokOpen + tokType + tokDirectory)
	own := len(d.path)
	for _, e := range entries {
		d.path = append(append(d.path[:own], '/'), e.name...)
		if err := checkName(e.name); err != nil {
			return d.refuse(err)
		}
		d.enc.entry(e.name)
		if err := d.node(fd, e.name, e.fileType, depth+1); err != nil {
			return err
		}
		d.enc.raw(tokClose)
	}
	d.path = d.path[:own]
	d.enc.raw(tokClose)
	return nil
}

// fail returns an error of the system, or of the context, with the path. That
// we may not read a file is a property of the input.
func (d *dumper) fail(err error) error {
	wrapped := fmt.Errorf("read %q: %w", d.path, err)
	if err == unix.EACCES || err == unix.EPERM {
		return fault.New(fault.Refused, wrapped)
	}
	return wrapped
}

func (d *dumper) refuse(err error) error { return fault.New(fault.Refused, d.fail(err)) }
