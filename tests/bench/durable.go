package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"terrine/store"
	"terrine/store/binarycache"
)

// What it costs that a path which the store has acknowledged outlives a power
// cut: adding a closure, against the same with syncs switched off, which only
// programs that use package store can do. So both sides are this program.
//
// The closure has the shape of Debian's packages: a median file of 8 KiB, a mean
// of 50, and paths that refer to those before them.
const (
	durableBound   = 1.15
	durablePaths   = 40
	durableFiles   = 1000
	durableMedian  = 8 << 10 // bytes of a file
	durableSpread  = 1.9     // of the logarithm of the size
	durableLargest = 8 << 20
)

// durableAdd is the name under which this program is called again: HOW INPUT
// ROOT and whether to sync.
const (
	durableAdd = "durable-add"
	synced     = "synced"
	unsynced   = "unsynced"
)

// The ways to add a closure.
const (
	byImport = "import" // INPUT is a file
	byCopy   = "copy"   // a cache
	byAdd    = "add"    // a directory of trees
)

func (b *bench) durable(ctx context.Context) error {
	in := filepath.Join(b.dir, "durable")
	size, err := growClosure(ctx, in)
	if err != nil {
		return fmt.Errorf("make a closure: %w", err)
	}
	if err := os.Mkdir(b.durableStores(), 0o755); err != nil {
		return err
	}
	// ext4 looks for an inode that was not deleted within the last minutes, which
	// takes a millisecond for each file where many were, on both sides: far more
	// than what is to be measured. So the stores are not removed before the end, and
	// lie apart from what others have removed. Elsewhere there is no such flag.
	_ = exec.CommandContext(ctx, "chattr", "+T", b.durableStores()).Run()
	for _, how := range []string{byImport, byCopy, byAdd} {
		with := b.adding(how, filepath.Join(in, how), synced)
		without := b.adding(how, filepath.Join(in, how), unsynced)
		pairs := *b
		pairs.pairs = max(b.pairs, 15)
		us, them, err := pairs.versus(ctx, with, without)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("store %s of %d files, %d paths, %.0f MB: against no syncs", how, durableFiles, durablePaths, float64(size)/1e6)
		b.table.compare(what, "s", durableBound, us, them, seconds)
	}
	return nil
}

func (b *bench) durableStores() string { return filepath.Join(b.dir, "durable-stores") }

// adding is the side that adds the closure to an empty store, which is there
// already.
func (b *bench) adding(how, input, mode string) side {
	return side{command: func(ctx context.Context) (*exec.Cmd, error) {
		root, err := os.MkdirTemp(b.durableStores(), "")
		if err != nil {
			return nil, err
		}
		s, err := store.Open(ctx, root, store.Options{NoSync: true})
		if err != nil {
			return nil, err
		}
		if _, err := s.List(ctx); err != nil {
			return nil, err
		}
		if err := s.Close(); err != nil {
			return nil, err
		}
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, self, durableAdd, how, input, root, mode), nil
	}}
}

// addDurably is what runs in the side.
func addDurably(ctx context.Context, how, input, root, mode string) (err error) {
	s, err := store.Open(ctx, root, store.Options{NoSync: mode == unsynced})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch how {
	case byImport:
		f, err := os.Open(input)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = s.ImportStream(ctx, f)
		return err
	case byCopy:
		return copyFrom(ctx, s, input)
	}
	return s.Together(ctx, func(a *store.Adder) error {
		for i := range durablePaths {
			if _, err := a.Add(ctx, filepath.Join(input, treeName(i)), store.AddOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

func copyFrom(ctx context.Context, s *store.Store, dir string) error {
	c, err := binarycache.Open(ctx, "file://"+dir, binarycache.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	top, err := os.ReadFile(filepath.Join(dir, "top"))
	if err != nil {
		return err
	}
	return s.Together(ctx, func(a *store.Adder) error {
		_, err := c.Fetch(ctx, a, store.Path(top))
		return err
	})
}

func treeName(i int) string { return fmt.Sprintf("tree-%02d", i) }

// growClosure makes the inputs of all ways in dir, and returns the size of the
// closure.
func growClosure(ctx context.Context, dir string) (size int64, err error) {
	s, err := store.Open(ctx, filepath.Join(dir, "store"), store.Options{NoSync: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	random := rand.New(rand.NewPCG(1, 3))
	var paths []store.Path
	for i := range durablePaths {
		tree := filepath.Join(dir, byAdd, treeName(i))
		if err := growDurableTree(tree, paths, random); err != nil {
			return 0, err
		}
		info, err := s.Add(ctx, tree, store.AddOptions{})
		if err != nil {
			return 0, err
		}
		paths = append(paths, info.Path)
		size += info.NARSize
	}
	f, err := os.Create(filepath.Join(dir, byImport))
	if err != nil {
		return 0, err
	}
	if err := errors.Join(s.Export(ctx, f, paths...), f.Close()); err != nil {
		return 0, err
	}
	w, err := binarycache.Create(ctx, filepath.Join(dir, byCopy), binarycache.WriteOptions{})
	if err != nil {
		return 0, err
	}
	if _, err := w.Store(ctx, s, paths[len(paths)-1]); err != nil {
		return 0, err
	}
	return size, os.WriteFile(filepath.Join(dir, byCopy, "top"), []byte(paths[len(paths)-1]), 0o600)
}

// growDurableTree makes a directory that refers to two of the paths before it;
// the last one to all, so that it has the closure.
func growDurableTree(dir string, before []store.Path, random *rand.Rand) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var needs bytes.Buffer
	if n := len(before); n > 0 {
		fmt.Fprintln(&needs, before[random.IntN(n)], before[random.IntN(n)])
		if n == durablePaths-1 {
			fmt.Fprintln(&needs, before)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "needs"), needs.Bytes(), 0o600); err != nil {
		return err
	}
	for i := range durableFiles/durablePaths - 1 {
		size := min(durableLargest, int(durableMedian*math.Exp(durableSpread*random.NormFloat64())))
		content := make([]byte, size)
		for j := range size / 2 { // the other half compresses
			content[j] = byte(random.Uint32())
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f-%02d", i)), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
