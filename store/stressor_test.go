package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/nar"
)

// stressor is one process of TestManyProcesses.
type stressor struct {
	r           *rand.Rand
	root, input string
	name        string     // of its root
	rooted      store.Path // what it has rooted, if anything
	done        map[string]int
}

// A stressOp is what a stressor does, with how often, relatively.
type stressOp struct {
	name   string
	weight int
	run    func(*stressor, context.Context, *store.Store) error
}

var stressOps = []stressOp{
	{"add", 20, (*stressor).add},
	{"add together", 10, (*stressor).addTogether},
	{"read", 30, (*stressor).read},
	{"import", 6, (*stressor).importStream},
	{"export", 6, (*stressor).export},
	{"gc", 10, (*stressor).gc},
	{"delete", 10, (*stressor).delete},
	{"root", 10, (*stressor).moveRoot},
	{"verify", 4, (*stressor).verify},
	{"optimise", 3, (*stressor).optimise},
	{"rebuild", 1, (*stressor).rebuild},
}

// stress works until its time is up, and prints what it has done.
func stress(ctx context.Context, root, input string) error {
	seed, err := strconv.ParseUint(os.Getenv("TERRINE_TEST_SEED"), 10, 64)
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(os.Getenv("TERRINE_TEST_TIME"))
	if err != nil {
		return err
	}
	w := &stressor{r: rand.New(rand.NewPCG(seed, 0)), root: root, input: input,
		name: "r" + strconv.FormatUint(seed, 10), done: make(map[string]int)}
	sum := 0
	for _, op := range stressOps {
		sum += op.weight
	}
	// Seeds follow one another: however slow the machine is, all of them begin with all.
	next := int(seed % uint64(len(stressOps)))
	for end := time.Now().Add(duration); ; {
		op := stressOps[next]
		if err := w.one(ctx, op.run); err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		w.done[op.name]++
		if time.Now().After(end) {
			break
		}
		n := w.r.IntN(sum)
		next = slices.IndexFunc(stressOps, func(op stressOp) bool {
			n -= op.weight
			return n < 0
		})
	}
	for name, n := range w.done {
		fmt.Printf("done %q %d\n", name, n)
	}
	if w.rooted == "" {
		return nil
	}
	s, err := store.Open(ctx, root, store.Options{NoSync: true})
	if err != nil {
		return err
	}
	return errors.Join(s.RemoveRoot(ctx, w.name), s.Close())
}

// one does one thing with a store of its own, as a command would, and then
// looks whether what it has rooted is still there.
func (w *stressor) one(ctx context.Context, run func(*stressor, context.Context, *store.Store) error) error {
	s, err := store.Open(ctx, w.root, store.Options{NoSync: true, LockTimeout: 2 * time.Minute})
	if err != nil {
		return err
	}
	err = run(w, ctx, s)
	if err == nil && w.rooted != "" {
		if err = w.whole(ctx, s, w.rooted); err != nil {
			err = fmt.Errorf("its root: %w", err)
		}
	}
	return errors.Join(err, s.Close())
}

// whole checks that the closure of a path is as it should be.
func (w *stressor) whole(ctx context.Context, s *store.Store, p store.Path) error {
	infos, err := s.Closure(ctx, p)
	if err != nil {
		return err
	}
	for _, info := range infos {
		hash, _, err := nar.Hash(ctx, filepath.Join(s.RealDir(), info.Path.Base()))
		if err != nil {
			return err
		}
		if hash != info.NARHash {
			return fmt.Errorf("%s has the hash %s: want %s", info.Path, hash, info.NARHash)
		}
	}
	return nil
}

func (w *stressor) add(ctx context.Context, s *store.Store) error {
	i := strconv.Itoa(w.r.IntN(stressSources))
	info, err := s.Add(ctx, filepath.Join(w.input, "src", i), store.AddOptions{Name: "s" + i})
	if err != nil {
		return err
	}
	return w.whole(ctx, s, info.Path) // it is held
}

// some returns a valid path, or none.
func (w *stressor) some(ctx context.Context, s *store.Store) (store.Path, error) {
	list, err := s.List(ctx)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[w.r.IntN(len(list))].Path, nil
}

func (w *stressor) read(ctx context.Context, s *store.Store) error {
	p, err := w.some(ctx, s)
	if p == "" || err != nil {
		return err
	}
	if _, err := s.Hold(ctx, p); errors.Is(err, store.ErrNotFound) {
		return nil // collected between the two
	} else if err != nil {
		return err
	}
	for range 3 {
		if err := w.whole(ctx, s, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *stressor) importStream(ctx context.Context, s *store.Store) error {
	f, err := os.Open(filepath.Join(w.input, "export"))
	if err != nil {
		return err
	}
	defer f.Close()
	infos, err := s.ImportStream(ctx, f)
	if err != nil {
		return err
	}
	return w.whole(ctx, s, infos[w.r.IntN(len(infos))].Path)
}

func (w *stressor) export(ctx context.Context, s *store.Store) error {
	p, err := w.some(ctx, s)
	if p == "" || err != nil {
		return err
	}
	err = s.Export(ctx, &bytes.Buffer{}, p)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func (w *stressor) gc(ctx context.Context, s *store.Store) error {
	_, err := s.GC(ctx, store.GCOptions{DryRun: w.r.IntN(4) == 0, MaxFreed: int64(w.r.IntN(2) * 50_000)})
	return err
}

func (w *stressor) delete(ctx context.Context, s *store.Store) error {
	p, err := w.some(ctx, s)
	if p == "" || err != nil {
		return err
	}
	_, err = s.Delete(ctx, p)
	if errors.Is(err, store.ErrNotFound) || fault.CodeOf(err) == fault.Refused || (fault.CodeOf(err) == fault.Busy && strings.Contains(err.Error(), "in use")) {
		return nil
	}
	return err
}

// moveRoot moves the root of this process to another path.
func (w *stressor) moveRoot(ctx context.Context, s *store.Store) error {
	p, err := w.some(ctx, s)
	if p == "" || err != nil {
		return err
	}
	err = s.AddRoot(ctx, w.name, p)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	w.rooted = p
	return err
}

func (w *stressor) verify(ctx context.Context, s *store.Store) error {
	for p, err := range s.Verify(ctx) {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

func (w *stressor) optimise(ctx context.Context, s *store.Store) error {
	_, err := s.Optimise(ctx)
	return err
}

func (w *stressor) rebuild(ctx context.Context, s *store.Store) error {
	r, err := s.Rebuild(ctx)
	if err != nil {
		return err
	}
	for _, lost := range r.Lost {
		// A path may be on its way; what was valid may not be lost.
		if !errors.Is(lost.Reason, fs.ErrNotExist) {
			return fmt.Errorf("lost %s: %w", lost.Path, lost.Reason)
		}
	}
	return nil
}
