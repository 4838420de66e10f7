package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"terrine/store/durable"
)

// How much an Adder makes valid at a time. Each object costs an open file, its
// lock, and others who want the same wait for the last.
const (
	adderObjects = 32
	adderBytes   = 64 << 20
)

// Adder adds objects as Store.Add does, but they become valid together: they
// share the waits for the disk. It is for one goroutine.
type Adder struct {
	s     *Store
	batch *durable.Batch   // nil while nothing is staged
	locks durable.Locks    // of what is staged
	early map[Path]*staged // by path
	order []*staged
	bytes int64
}

// Together calls f with an Adder. What f adds is valid when Together has
// returned, also if f returns an error later; but not if ctx has ended, or if
// there is an error of making it valid.
func (s *Store) Together(ctx context.Context, f func(a *Adder) error) error {
	a := &Adder{s: s, early: make(map[Path]*staged)}
	err := f(a)
	if ctx.Err() == nil {
		err = errors.Join(err, a.flush(ctx))
	}
	return errors.Join(err, a.abandon())
}

// Add is Store.Add, but what it returns is not valid yet. What is added after it
// may refer to it.
func (a *Adder) Add(ctx context.Context, path string, o AddOptions) (*Info, error) {
	info, err := a.add(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("add %s to the store: %w", path, err)
	}
	return info, nil
}

func (a *Adder) add(ctx context.Context, path string, o AddOptions) (*Info, error) {
	info, err := a.s.describeNamed(ctx, path, o, a.early)
	if err != nil {
		return nil, err
	}
	if a.early[info.Path] != nil {
		return info, nil
	}
	if err := a.s.hold(ctx, append([]Path{info.Path}, info.References...)); err != nil {
		return nil, err
	}
	if done, err := a.s.has(ctx, info); err != nil {
		return nil, err
	} else if done {
		return a.s.Info(ctx, info.Path)
	}
	lock, err := a.lock(ctx, info.Path)
	if err != nil {
		return nil, err
	}
	done, err := a.stage(ctx, path, info)
	if err != nil || done {
		if err = errors.Join(err, lock.Remove()); err != nil {
			return nil, err
		}
		return a.s.Info(ctx, info.Path)
	}
	a.locks = append(a.locks, lock)
	if len(a.order) < adderObjects && a.bytes < adderBytes {
		return info, nil
	}
	return info, a.flush(ctx)
}

// lock takes the lock of a path. Who waits for one while he holds others may
// wait for ever: so if another process has it, what is staged is made valid first.
func (a *Adder) lock(ctx context.Context, p Path) (*durable.Lock, error) {
	lock, err := durable.TryLock(a.s.path(locksDir, p.Base()+".lock"), durable.Exclusive)
	if lock != nil || err != nil {
		return lock, err
	}
	if err := a.flush(ctx); err != nil {
		return nil, err
	}
	locks, err := a.s.lock(ctx, p)
	if err != nil {
		return nil, err
	}
	return locks[0], nil
}

// stage copies an object, unless the one who had its lock has made it valid.
func (a *Adder) stage(ctx context.Context, path string, info *Info) (done bool, err error) {
	if done, err := a.s.has(ctx, info); done || err != nil {
		return done, err
	}
	check := *info
	check.References = notEarly(info.References, a.early)
	if err := a.s.referencesValid(ctx, &check); err != nil {
		return false, err
	}
	if a.batch == nil {
		if a.batch, err = a.s.newBatch(); err != nil {
			return false, err
		}
	}
	temp, err := a.s.temp(ctx)
	if err != nil {
		return false, err
	}
	if err = a.s.o.at("store.fill"); err == nil {
		err = copyObject(ctx, a.batch, path, temp, info)
	}
	if err != nil {
		err = errors.Join(err, removeTree(temp))
		return false, a.s.full(err, strconv.FormatInt(info.NARSize, 10))
	}
	o := &staged{info: info, temp: temp}
	a.early[info.Path], a.order = o, append(a.order, o)
	a.bytes += info.NARSize
	return false, nil
}

// flush makes valid what is staged, or removes it.
func (a *Adder) flush(ctx context.Context) error {
	if len(a.order) == 0 {
		return nil
	}
	err := a.s.publish(ctx, &a.locks, a.batch, a.order)
	if err == nil {
		a.order = nil // nothing to remove
	}
	needed := strconv.FormatInt(a.bytes, 10)
	return a.s.full(errors.Join(err, a.abandon()), needed)
}

// abandon lets go of what is staged and removes what is not valid of it.
func (a *Adder) abandon() error {
	errs := []error{a.s.discard(a.order), a.locks.Remove()}
	if a.batch != nil {
		errs = append(errs, a.batch.Close())
	}
	a.batch, a.locks, a.order, a.bytes = nil, nil, nil, 0
	clear(a.early)
	return errors.Join(errs...)
}

// notEarly returns those of paths that are not to become valid only now.
func notEarly(paths []Path, early map[Path]*staged) []Path {
	var rest []Path
	for _, p := range paths {
		if early[p] == nil {
			rest = append(rest, p)
		}
	}
	return rest
}
