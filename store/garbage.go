package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"terrine/store/durable"
)

// discard takes its name from an object that has no row, and removes its info
// file. The object is removed later.
func (c *collector) discard(ctx context.Context, r *record) error {
	base := r.Path.Base()
	if err := removeFile(c.s.path(infoDir, base)); err != nil {
		return err
	}
	return c.setAside(ctx, base, r.NARSize)
}

// setAside gives an entry of the objects directory, of a NAR size, a temporary name.
func (c *collector) setAside(ctx context.Context, name string, size int64) error {
	away, err := c.s.temp(ctx)
	if err != nil {
		return err
	}
	err = os.Rename(c.s.path(objectsDir, name), away)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c.trash = append(c.trash, trash{away, size})
	return c.s.o.at("gc.renamed")
}

// strays sets aside what is nobody's: objects and info files without a row,
// temporary names of processes that are gone. What does not look like ours is
// left alone.
func (c *collector) strays(ctx context.Context) error {
	valid, err := c.s.validPaths(ctx)
	if err != nil {
		return err
	}
	rows := make(map[string]bool, len(valid))
	for _, p := range valid {
		rows[p.Base()] = true
	}
	err = eachName(ctx, c.s.path(objectsDir), func(name string) error {
		nobodys := checkBase(name) == nil && !rows[name]
		if owner, ok := tempOwner(name); ok {
			alive, err := c.s.alive(owner)
			if err != nil {
				return err
			}
			nobodys = !alive
		}
		if !nobodys {
			return nil
		}
		c.garbage++
		return c.setAside(ctx, name, 0)
	})
	if err != nil {
		return err
	}
	return eachName(ctx, c.s.path(infoDir), func(name string) error {
		if rows[name] || checkBase(name) != nil {
			return nil
		}
		return removeFile(c.s.path(infoDir, name))
	})
}

// tempOwner returns the owner in a temporary name.
func tempOwner(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, tempPrefix)
	i := strings.LastIndexByte(rest, '-')
	if !ok || i <= 0 {
		return "", false
	}
	return rest[:i], true
}

// alive reports whether the process of an owner runs. An owner is locked
// before there is anything in its name.
func (s *Store) alive(owner string) (bool, error) {
	h, err := durable.Inspect(s.path(ownersDir, owner))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && h.Held, err
}

// empty removes what was set aside, and small things that pile up. What it leaves
// is removed when the Store is closed, or by who comes next; see hurry.
func (c *collector) empty(ctx context.Context) error {
	c.s.o.Progress.Stage("remove", sizeOf(slices.Values(c.removed)))
	for _, t := range c.trash {
		if err := removeTreeUntil(ctx, t.path); err != nil {
			return err
		}
		c.s.o.Progress.Add(t.size)
		if err := c.s.o.at("gc.removed"); err != nil {
			return err
		}
	}
	if c.only {
		return nil
	}
	c.s.o.Progress.Stage("prune", 0) // the pool may have as many files as what was removed
	return errors.Join(c.s.pruneLocks(ctx), c.s.prunePool(ctx), c.s.pruneFiles(ctx))
}

// hurry has Close not wait for a long removal.
func (s *Store) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != nil {
		s.owner.hurry = true
	}
}

// pruneLocks removes lock files of processes that were killed.
func (s *Store) pruneLocks(ctx context.Context) error {
	return eachName(ctx, s.path(locksDir), func(name string) error {
		l, err := durable.TryLock(s.path(locksDir, name), durable.Exclusive)
		if l == nil || err != nil {
			return err
		}
		return l.Remove()
	})
}

// staleFile is how old a file on its way to its name must be to be nobody's:
// they are small, and written at once.
const staleFile = 24 * time.Hour

// pruneFiles removes files on their way to a name whose processes were killed.
func (s *Store) pruneFiles(ctx context.Context) error {
	for _, dir := range []string{stateDir, infoDir, rootsDir, linksDir} {
		err := eachName(ctx, s.path(dir), func(name string) error {
			if !strings.HasPrefix(name, ".") {
				return nil
			}
			info, err := os.Lstat(s.path(dir, name))
			if err != nil || s.o.Now().Sub(info.ModTime()) < staleFile {
				return nil
			}
			return removeFile(s.path(dir, name))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// prunePool removes files of the pool that no object shares any more.
func (s *Store) prunePool(ctx context.Context) error {
	dir := s.path(poolDir)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return eachName(ctx, dir, func(name string) error {
		info, err := os.Lstat(s.path(poolDir, name))
		if err != nil {
			return nil // gone
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Nlink > 1 {
			return nil
		}
		s.o.Progress.Add(info.Size())
		return removeFile(s.path(poolDir, name))
	})
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// eachName calls f with the names in a directory, which f may remove. It does
// not hold them all.
func eachName(ctx context.Context, dir string, f func(name string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1000)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
