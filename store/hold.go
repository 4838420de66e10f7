package store

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"syscall"

	"terrine/store/durable"
)

// Hold is Closure, and keeps what it returns from being collected until the
// Store is closed or its process ends, however it ends. Who reads objects while
// others may collect wants Hold and not Closure.
//
// In a store that this process may not write to, which a note of what it uses
// would need, nothing at all is collected until then.
func (s *Store) Hold(ctx context.Context, roots ...Path) ([]*Info, error) {
	if err := s.ownAll(roots...); err != nil {
		return nil, err
	}
	if err := s.hold(ctx, roots); err != nil {
		return nil, err
	}
	return s.Closure(ctx, roots...)
}

// hold makes paths temporary roots, which need not be valid yet. A path that
// is valid after hold returned stays so.
func (s *Store) hold(ctx context.Context, paths []Path) error {
	if s.isHeld(paths) {
		return nil
	}
	shared, err := s.enter(ctx, durable.Shared)
	if err != nil {
		return err
	}
	err = s.note(ctx, paths)
	if readOnly(err) {
		return s.remain(shared)
	}
	return errors.Join(err, shared.Release())
}

// isHeld reports whether all paths are temporary roots already.
func (s *Store) isHeld(paths []Path) bool {
	s.mu.Lock()
	o, stay := s.owner, s.stay
	s.mu.Unlock()
	if stay != nil || o == nil {
		return stay != nil
	}
	if o.lock.Check() != nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range paths {
		if !o.held[p] {
			return false
		}
	}
	return true
}

// note writes paths into the owner's file. If that has been removed by hand, a
// new owner takes over what the old one held.
func (s *Store) note(ctx context.Context, paths []Path) error {
	o, err := s.claim(ctx)
	if err != nil {
		return err
	}
	o.mu.Lock()
	for errors.Is(o.lock.Check(), durable.ErrLockLost) {
		o.mu.Unlock()
		if o, err = s.succeed(ctx, o); err != nil {
			return err
		}
		o.mu.Lock()
	}
	defer o.mu.Unlock()
	return o.hold(paths)
}

// hold notes paths that are not noted yet. The caller has locked o.
func (o *owner) hold(paths []Path) error {
	for _, p := range paths {
		if o.held[p] {
			continue
		}
		if err := o.note(rootNote + p.Base()); err != nil {
			return err
		}
		o.held[p] = true
	}
	return nil
}

// succeed returns the owner that replaces one whose file is gone: it holds the same.
// What the old one has under temporary names is then nobody's; whoever makes
// it notices before it counts.
func (s *Store) succeed(ctx context.Context, old *owner) (*owner, error) {
	s.mu.Lock()
	first := s.owner == old
	if first {
		s.owner = nil
	}
	s.mu.Unlock()
	o, err := s.claim(ctx)
	if err != nil || !first {
		return o, err
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.hold(slices.Collect(maps.Keys(old.held))); err != nil {
		return nil, err
	}
	return o, old.lock.Release()
}

// remain keeps a shared lock of the store until the Store is closed.
func (s *Store) remain(shared *durable.Lock) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stay != nil {
		return shared.Release()
	}
	s.stay = shared
	return nil
}

// readOnly reports whether err says that we may not write here.
func readOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// enter takes the lock of the whole store: shared to publish or to note what
// is in use, exclusive to collect or to rebuild. It is not to be taken twice
// by one who has it.
//
// Whoever wants it goes through a gate, where one who wants it exclusively
// waits for the others to leave: else there might always be a new one.
func (s *Store) enter(ctx context.Context, mode durable.Mode) (*durable.Lock, error) {
	what := "the store " + s.root
	first, err := durable.AcquireLock(ctx, s.path(gate), mode, what, s.o.durable())
	if err != nil {
		return nil, err
	}
	defer first.Release()
	return durable.AcquireLock(ctx, s.path(publishing), mode, what, s.o.durable())
}
