package rootfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"terrine/store/fault"
)

// Write writes the tree to disk, into dir, which is empty. Owners are not
// written, which takes rights that few have: own is told of each file that is
// not root's. It may be nil.
func (t *Tree) Write(ctx context.Context, dir string, own func(path string, uid, gid int) error) error {
	entries, err := t.Entries(ctx)
	if err != nil {
		return err
	}
	if err := writeEntries(ctx, entries, dir, own); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	return nil
}

func writeEntries(ctx context.Context, entries []Entry, dir string, own func(path string, uid, gid int) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for i := range entries {
		e := &entries[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeEntry(root, e); err != nil {
			return err
		}
		if own == nil || e.UID == 0 && e.GID == 0 {
			continue
		}
		if err := own(filepath.Join(dir, filepath.FromSlash(e.Name)), e.UID, e.GID); err != nil {
			return err
		}
	}
	// A directory may forbid writing, and is to when all is in it.
	for _, e := range slices.Backward(entries) {
		if e.Kind != Symlink {
			if err := chmod(root, &e); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeEntry(root *os.Root, e *Entry) error {
	switch {
	case e.Name == rootName:
		return nil
	case e.Kind == Dir:
		return root.Mkdir(e.Name, 0o700)
	case e.Kind == Symlink:
		return symlink(root, e.Link, e.Name)
	}
	from := io.NopCloser(bytes.NewReader(e.Text))
	if e.Text == nil {
		f, err := os.Open(e.Source)
		if err != nil {
			return err
		}
		from = f
	}
	defer from.Close()
	return writeFile(root, e.Name, from)
}

func lstat(root *os.Root, name string) (info fs.FileInfo, err error) {
	err = fault.Retry(func() error {
		info, err = root.Lstat(name)
		return err
	})
	return info, err
}

func symlink(root *os.Root, target, name string) error {
	return fault.Retry(func() error { return root.Symlink(target, name) })
}

func writeFile(root *os.Root, name string, from io.Reader) error {
	to, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Bits of a mode beside the permissions, as Linux has them and as os does.
const (
	setuidBit = 0o4000
	setgidBit = 0o2000
	stickyBit = 0o1000
)

func chmod(root *os.Root, e *Entry) error {
	mode := fs.FileMode(e.Mode & 0o777)
	for _, bit := range []struct {
		linux uint32
		os    fs.FileMode
	}{{setuidBit, fs.ModeSetuid}, {setgidBit, fs.ModeSetgid}, {stickyBit, fs.ModeSticky}} {
		if e.Mode&bit.linux != 0 {
			mode |= bit.os
		}
	}
	err := root.Chmod(e.Name, mode)
	if errors.Is(err, fs.ErrPermission) && e.Mode&(setuidBit|setgidBit) != 0 {
		err = fault.New(fault.Refused, fault.Hint(err, "Nix forbids setuid and setgid bits while it builds: where there are commands, give them by perms, which come after the commands"))
	}
	return err
}

// linuxMode returns the mode of a file with the bits as Linux has them.
func linuxMode(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		bits |= setuidBit
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= setgidBit
	}
	if mode&fs.ModeSticky != 0 {
		bits |= stickyBit
	}
	return bits
}
