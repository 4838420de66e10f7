package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"terrine/store/fault"
)

// removeTree removes an object or what is left of one.
func removeTree(path string) error { return removeTreeUntil(context.Background(), path) }

// removeTreeUntil is removeTree until ctx ends. Then it leaves a part, and the error is
// the cause of ctx.
func removeTreeUntil(ctx context.Context, path string) error {
	if up, err := os.OpenRoot(filepath.Dir(path)); err == nil {
		removeBelow(ctx, up, filepath.Base(path)) // what it could not do, the next will say
		_ = up.Close()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return os.RemoveAll(path)
}

// removeBelow removes what it can of what is in a directory. It goes down from one to
// the next, for a path may be longer than the system takes.
func removeBelow(ctx context.Context, up *os.Root, name string) {
	var info fs.FileInfo
	err := fault.Retry(func() (err error) {
		info, err = up.Lstat(name)
		return err
	})
	if err != nil || !info.IsDir() {
		return
	}
	dir, err := up.OpenRoot(name)
	if errors.Is(err, fs.ErrPermission) && up.Chmod(name, 0o700) == nil {
		dir, err = up.OpenRoot(name)
	}
	if err != nil {
		return
	}
	defer dir.Close()
	for removed := true; removed; {
		removed = false
		for _, e := range someIn(dir) {
			if ctx.Err() != nil {
				return
			}
			if e.IsDir() {
				removeBelow(ctx, dir, e.Name())
			}
			removed = dir.Remove(e.Name()) == nil || removed
		}
	}
}

// someIn returns entries of a directory, all if there are few. Directories of a store are
// not writable, so for all but root this one is made so.
func someIn(dir *os.Root) []fs.DirEntry {
	list, err := dir.Open(".")
	if err != nil {
		return nil
	}
	defer list.Close()
	_ = list.Chmod(0o700) // not by its name: that takes fchmodat2, which older sandboxes forbid
	entries, _ := list.ReadDir(1000)
	return entries
}
