package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"terrine/store/fault"
	"terrine/store/nar"
)

// Optimised is what Optimise has done.
type Optimised struct {
	Files int   // that were replaced by hard links
	Bytes int64 // of their contents
}

// Optimise replaces files of objects that have equal contents and equal modes
// by hard links to one file. Those who read meanwhile see no difference, but
// for the number of links, and the mtime of a directory while one of its files
// is being replaced. It may be stopped and begun again; what it has done it
// does not read again.
//
// A file that is not as the store makes them, which Verify may or may not
// find, is left alone. On an error what it returns was done nevertheless.
func (s *Store) Optimise(ctx context.Context) (*Optimised, error) {
	o := &optimiser{s: s, pool: make(map[uint64]bool), checked: make(map[uint64]bool)}
	if err := o.run(ctx); err != nil {
		return &o.done, fmt.Errorf("optimise the store %s: %w", s.root, err)
	}
	return &o.done, nil
}

// optimiser is one run. Equal files are found by the pool: a directory with a
// link to one file of each content, named by its NAR hash.
type optimiser struct {
	s       *Store
	temp    string          // for one link on its way, again and again
	pool    map[uint64]bool // inodes that are in the pool
	checked map[uint64]bool // inodes of the pool that have the hash they should
	done    Optimised
}

func (o *optimiser) run(ctx context.Context) (err error) {
	if o.temp, err = o.s.temp(ctx); err != nil {
		return err
	}
	if err := makeDir(o.s.path(poolDir)); err != nil {
		return err
	}
	err = eachName(ctx, o.s.path(poolDir), func(name string) error {
		if st, err := stat(o.s.path(poolDir, name)); err == nil {
			o.pool[st.Ino] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	list, err := o.s.List(ctx)
	if err != nil {
		return err
	}
	o.s.stage("optimise", list)
	for _, info := range list {
		if err := o.object(ctx, info.Path); err != nil {
			return fmt.Errorf("%s: %w", info.Path, err)
		}
		o.s.o.Progress.Add(info.NARSize)
	}
	return nil
}

// object links the files of one object. While its lock is held, nobody puts
// another object in its place, which might differ.
func (o *optimiser) object(ctx context.Context, p Path) (err error) {
	locks, err := o.s.lock(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Remove()) }()
	if _, err := o.s.Info(ctx, p); errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	err = filepath.WalkDir(o.s.objectPath(p), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = o.file(ctx, path)
		} else if err == nil && d.IsDir() {
			err = straighten(path, d)
		}
		if errors.Is(err, syscall.ENAMETOOLONG) {
			return ctx.Err() // an object may be deeper than a path is long: what is there is left alone
		}
		if err == nil {
			err = ctx.Err()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has been collected
	}
	if err == nil && locks.Check() != nil {
		return fault.New(fault.Busy, locks.Check())
	}
	return err
}

// straighten gives a directory back the mode and the mtime of the store's, which one
// who was killed while replacing a file in it has left otherwise.
func straighten(path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	if info.Mode() != fs.ModeDir|0o555 {
		err = os.Chmod(path, 0o555)
	}
	if made := time.Unix(1, 0); err == nil && !info.ModTime().Equal(made) {
		err = setModTime(path, made)
	}
	return err
}

func setModTime(path string, t time.Time) error {
	return fault.Retry(func() error { return os.Chtimes(path, time.Time{}, t) })
}

// file links one file to its equal in the pool, or adds it to the pool.
func (o *optimiser) file(ctx context.Context, path string) error {
	st, err := stat(path)
	if err != nil || o.pool[st.Ino] || !canonical(st) {
		return err
	}
	hash, _, err := nar.Hash(ctx, path)
	if err != nil {
		return err
	}
	pooled := o.s.path(poolDir, poolName(hash))
	for {
		err := os.Link(path, pooled)
		if err == nil {
			o.pool[st.Ino], o.checked[st.Ino] = true, true
			return nil
		}
		if errors.Is(err, syscall.EMLINK) {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		err = o.replace(ctx, path, st, pooled, hash)
		if !errors.Is(err, errNotPooled) {
			return err
		}
	}
}

var errNotPooled = errors.New("the pool does not have it any more")

// replace makes path a link to pooled.
func (o *optimiser) replace(ctx context.Context, path string, st *unix.Stat_t, pooled string, hash digest.Digest) error {
	twin, err := stat(pooled)
	if errors.Is(err, fs.ErrNotExist) {
		return errNotPooled
	}
	if err != nil || twin.Ino == st.Ino {
		return err
	}
	if !o.checked[twin.Ino] {
		now, _, err := nar.Hash(ctx, pooled)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err != nil || now != hash || !canonical(twin) {
			// It is damaged, and may be a part of objects that are: theirs it stays.
			return cmp.Or(removeFile(pooled), errNotPooled)
		}
		o.checked[twin.Ino] = true
	}
	if twin.Mode != st.Mode || twin.Uid != st.Uid || twin.Gid != st.Gid {
		return nil
	}
	err = os.Link(pooled, o.temp)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errNotPooled
	case errors.Is(err, syscall.EMLINK):
		return nil
	case err != nil:
		return err
	}
	if err := o.s.o.at("optimise.linked"); err != nil {
		return err
	}
	if err := renameWithin(o.temp, path); err != nil {
		return errors.Join(err, removeFile(o.temp))
	}
	o.done.Files++
	o.done.Bytes += st.Size
	return o.s.o.at("optimise.renamed")
}

// renameWithin moves temp to a path whose directory is to look as before. The
// directory that holds objects is not one of them.
func renameWithin(temp, path string) (err error) {
	dir := filepath.Dir(path)
	if dir == filepath.Dir(temp) {
		return os.Rename(temp, path)
	}
	before, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if fault.Retry(func() error { return unix.Access(dir, unix.W_OK) }) != nil {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Chmod(dir, before.Mode())) }()
	}
	err = os.Rename(temp, path)
	return errors.Join(err, setModTime(dir, before.ModTime()))
}

func stat(path string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	if err := fault.Retry(func() error { return unix.Lstat(path, &st) }); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return &st, nil
}

// canonical reports whether a file has the mode and the mtime of the store's.
func canonical(st *unix.Stat_t) bool {
	mode := uint32(st.Mode) &^ unix.S_IFMT
	return (mode == 0o444 || mode == 0o555) && st.Mtim.Sec == 1 && st.Mtim.Nsec == 0
}

func poolName(hash digest.Digest) string { return FormatHash(hash)[len("sha256:"):] }
