package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"terrine/store/durable"
	"terrine/store/fault"
)

// How much becomes valid at a time. Each object costs an open file, its lock, and
// of those that there may be, no more than a part are taken beyond the first
// objects; others who want the same wait for the last; and a process that is
// stopped loses what is not valid yet.
const (
	togetherObjects     = 32
	togetherMostObjects = 128
	togetherFilesPart   = 8
	togetherBytes       = 64 << 20
	togetherTime        = time.Second
)

// Adder adds and imports objects as a Store does, but they become valid
// together: they share the waits for the disk. It may be used by several
// goroutines at once.
type Adder struct {
	s     *Store
	batch *durable.Batch

	objects int // that are staged at most

	flushing sync.Mutex // held by the one who makes valid what is staged

	scanning   sync.Mutex  // held by the one who uses candidates
	candidates *RefScanner // nil before the first use

	mu      sync.Mutex
	early   map[Path]*staged // what is staged, or being made valid
	order   []*staged        // what is staged, those first that others refer to
	locks   durable.Locks    // of what is staged
	bytes   int64            // of what is staged
	last    time.Time        // when there was nothing staged
	waiting int              // who waits for another process
	failed  error            // the first of making valid
}

// Together calls f with an Adder. What f adds is valid when Together has
// returned nil, and also if f returns an error of its own later; but if ctx has
// ended what is not valid yet does not become so. An error of making it valid comes
// back even if f goes on.
//
// When lock files are removed by hand, another process may take what was staged
// for garbage. f is then called again, with a new Adder.
func (s *Store) Together(ctx context.Context, f func(a *Adder) error) error {
	for try := 1; ; try++ {
		err := s.together(ctx, f)
		if !errors.Is(err, errTaken) || try == lockTries {
			return err
		}
	}
}

func (s *Store) together(ctx context.Context, f func(a *Adder) error) error {
	batch, err := s.newBatch()
	if err != nil {
		return err
	}
	a := &Adder{s: s, batch: batch, early: make(map[Path]*staged), objects: objectsTogether(), last: time.Now()}
	err = f(a)
	if err == nil {
		err = a.failed // whoever was told may have gone on
	}
	switch {
	case ctx.Err() == nil:
		err = errors.Join(err, a.flush(ctx))
	case err == nil && len(a.order) > 0:
		err = context.Cause(ctx)
	}
	return errors.Join(err, s.discard(a.order), a.locks.Remove(), batch.Close())
}

func objectsTogether() int {
	return min(max(togetherObjects, durable.OpenFiles()/togetherFilesPart), togetherMostObjects)
}

// Add is Store.Add, but what it returns is not valid yet. What is added after it
// may refer to it.
func (a *Adder) Add(ctx context.Context, path string, o AddOptions) (*Info, error) {
	info, err := a.describeNamed(ctx, path, o)
	if err == nil {
		err = a.make(ctx, info, copyOf(path, info))
	}
	if err != nil {
		return nil, fmt.Errorf("add %s to the store: %w", path, err)
	}
	return info, nil
}

// Import is Store.Import, but the path is not valid yet. What is imported after
// it may refer to it.
func (a *Adder) Import(ctx context.Context, want *Info, r io.Reader) error {
	info, err := a.s.normal(want)
	if err != nil {
		return fault.New(fault.Refused, fmt.Errorf("import: %w", err))
	}
	err = a.make(ctx, info, func(ctx context.Context, batch *durable.Batch, temp string) error {
		return extract(ctx, r, temp, info, batch.Ahead)
	})
	if err != nil {
		return fmt.Errorf("import %s: %w", info.Path, err)
	}
	return nil
}

// Hold is Store.Hold: it knows of valid paths only.
func (a *Adder) Hold(ctx context.Context, roots ...Path) ([]*Info, error) {
	return a.s.Hold(ctx, roots...)
}

// make has a path become valid: fill creates its object.
func (a *Adder) make(ctx context.Context, info *Info, fill filler) error {
	if a.isEarly(info.Path) {
		return nil
	}
	if err := a.s.hold(ctx, append([]Path{info.Path}, info.References...)); err != nil {
		return err
	}
	if done, err := a.s.has(ctx, info); done || err != nil {
		return err
	}
	lock, err := a.lock(ctx, info.Path)
	if err != nil {
		return err
	}
	o, err := a.stage(ctx, info, fill)
	if err != nil || o == nil {
		return errors.Join(err, lock.Remove())
	}
	due := a.put(o, lock)
	a.candidate(info.Path)
	if due {
		return a.flush(ctx)
	}
	return nil
}

// lock takes the lock of a path. Who waits for one while he holds others may
// wait for ever: so as long as one of us waits for another process, nothing
// stays staged.
func (a *Adder) lock(ctx context.Context, p Path) (*durable.Lock, error) {
	lock, err := durable.TryLock(a.s.path(locksDir, p.Base()+".lock"), durable.Exclusive)
	if lock != nil || err != nil {
		return lock, err
	}
	a.wait(1)
	defer a.wait(-1)
	if err := a.flush(ctx); err != nil {
		return nil, err
	}
	locks, err := a.s.lock(ctx, p)
	if err != nil {
		return nil, err
	}
	return locks[0], nil
}

func (a *Adder) wait(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting += n
}

// stage makes an object under a temporary name, unless the one who had its lock
// has made it valid.
func (a *Adder) stage(ctx context.Context, info *Info, fill filler) (*staged, error) {
	if done, err := a.s.has(ctx, info); done || err != nil {
		return nil, err
	}
	if err := a.s.referencesValid(ctx, info, a.isEarly); err != nil {
		return nil, err
	}
	temp, err := a.s.newObject(ctx)
	if err != nil {
		return nil, a.s.full(err, strconv.FormatInt(info.NARSize, 10))
	}
	if err = a.s.o.at("store.fill"); err == nil {
		err = fill(ctx, a.batch, temp)
	}
	if err != nil {
		err = errors.Join(err, removeTree(temp))
		return nil, a.s.full(err, strconv.FormatInt(info.NARSize, 10))
	}
	return &staged{info: info, temp: temp}, nil
}

// put takes an object that is staged, and reports whether it is time to make
// valid what there is.
func (a *Adder) put(o *staged, lock *durable.Lock) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.early[o.info.Path] = o
	a.order, a.locks = append(a.order, o), append(a.locks, lock)
	a.bytes += o.info.NARSize
	return a.waiting > 0 || len(a.order) >= a.objects || a.bytes >= togetherBytes || time.Since(a.last) > togetherTime
}

// flush makes valid what is staged, or removes it.
func (a *Adder) flush(ctx context.Context) error {
	a.flushing.Lock() // an object comes after those that it refers to
	defer a.flushing.Unlock()
	a.mu.Lock()
	objects, locks, bytes := a.order, a.locks, a.bytes
	a.order, a.locks, a.bytes = nil, nil, 0
	a.mu.Unlock()
	if len(objects) == 0 {
		return nil
	}
	err := a.s.publish(ctx, &locks, a.batch, objects)
	if err != nil {
		err = a.s.full(errors.Join(err, a.s.discard(objects)), strconv.FormatInt(bytes, 10))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range objects {
		delete(a.early, o.info.Path)
	}
	a.last = time.Now()
	err = errors.Join(err, locks.Remove())
	if a.failed == nil {
		a.failed = err
	}
	return err
}

// isEarly reports whether a path is to become valid, or has just become so.
func (a *Adder) isEarly(p Path) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.early[p] != nil
}

// scanner returns a scanner for references to what was valid when a began and to
// what a has made since. It is the caller's until he calls done.
func (a *Adder) scanner(ctx context.Context) (_ *RefScanner, done func(), err error) {
	a.scanning.Lock()
	if a.candidates == nil {
		valid, err := a.s.validPaths(ctx)
		if err != nil {
			a.scanning.Unlock()
			return nil, nil, err
		}
		a.mu.Lock()
		a.candidates = NewRefScanner(slices.AppendSeq(valid, maps.Keys(a.early)))
		a.mu.Unlock()
	}
	a.candidates.Reset()
	return a.candidates, a.scanning.Unlock, nil
}

// candidate has references to p found.
func (a *Adder) candidate(p Path) {
	a.scanning.Lock()
	defer a.scanning.Unlock()
	if a.candidates != nil {
		a.candidates.add(p)
	}
}

// forgetCandidates has the next scanner know what is valid then.
func (a *Adder) forgetCandidates() {
	a.scanning.Lock()
	defer a.scanning.Unlock()
	a.candidates = nil
}
