//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"terrine/store"
)

// A worker is a process that works on a store until it is killed. It is told
// what to do by these variables.
const (
	taskVar  = "TERRINE_CRASH_TASK"  // anything but ""
	storeVar = "TERRINE_CRASH_STORE" // the directory of the store
	seedVar  = "TERRINE_CRASH_SEED"
	workVar  = "TERRINE_CRASH_WORK"   // a directory for what it adds, which who starts it removes
	syncVar  = "TERRINE_CRASH_NOSYNC" // "1" leaves out syncs: to see that it would be noticed
)

// Work is a worker. It adds paths, makes roots of them, lets go of roots,
// collects, and optimises, and says on stdout, one a line, what it has
// acknowledged:
//
//	valid PATH        that is kept by a root of the same name
//	letting NAME      it is about to remove that root
func Work(ctx context.Context) error {
	seed, err := strconv.ParseUint(os.Getenv(seedVar), 10, 64)
	if err != nil {
		return err
	}
	w := &worker{
		r: rand.New(rand.NewPCG(seed, 2)), root: os.Getenv(storeVar), seed: seed,
		dir: os.Getenv(workVar), o: store.Options{NoSync: os.Getenv(syncVar) == "1"},
	}
	for {
		if err := w.one(ctx); err != nil {
			return err
		}
	}
}

type worker struct {
	r     *rand.Rand
	seed  uint64
	root  string
	dir   string // for what is added: not on the disk that fails
	o     store.Options
	next  int
	roots []string
}

func (w *worker) one(ctx context.Context) (err error) {
	s, err := store.Open(ctx, w.root, w.o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch n := w.r.IntN(12); {
	case n == 0:
		_, err = s.GC(ctx, store.GCOptions{})
		return err
	case n == 1:
		_, err = s.Optimise(ctx)
		return err
	case n == 2 && len(w.roots) > 0:
		name := w.roots[0]
		w.roots = w.roots[1:]
		fmt.Println("letting", name)
		return s.RemoveRoot(ctx, name)
	}
	return w.add(ctx, s)
}

// add adds a new path, or a few together, and makes a root of each.
func (w *worker) add(ctx context.Context, s *store.Store) error {
	n := max(1, w.r.IntN(10)-5)
	added := make(map[string]store.Path)
	err := s.Together(ctx, func(to *store.Adder) error {
		for range n {
			name, dir, err := w.grow()
			if err != nil {
				return err
			}
			add := to.Add
			if n == 1 {
				add = s.Add
			}
			info, err := add(ctx, dir, store.AddOptions{Name: name})
			if err != nil {
				return err
			}
			added[name] = info.Path
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		if err := s.AddRoot(ctx, name, added[name]); err != nil {
			return err
		}
		fmt.Println("valid", added[name])
		w.roots = append(w.roots, name)
	}
	return nil
}

// grow makes a new directory.
func (w *worker) grow() (name, dir string, err error) {
	w.next++
	name = fmt.Sprintf("w%d-%d", w.seed, w.next)
	dir = filepath.Join(w.dir, name)
	big := make([]byte, w.r.IntN(60_000))
	for i := range big {
		big[i] = byte(w.r.Uint32())
	}
	files := map[string]string{"f": name, "d/big": string(big), "d/same": strings.Repeat("same", 2000)}
	return name, dir, writeTree(dir, files)
}
