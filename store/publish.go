package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"terrine/store/durable"
	"terrine/store/fault"
)

// staged is an object that is complete under a temporary name.
type staged struct {
	info *Info // as normal returns it
	temp string
	file os.FileInfo // of the object, once it has been given its final name
}

// lock takes the locks of paths.
func (s *Store) lock(ctx context.Context, paths ...Path) (durable.Locks, error) {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = p.Base()
	}
	return durable.LockAll(ctx, s.path(locksDir), names, func(base string) string {
		return string(s.o.Dir.path(base))
	}, s.o.durable())
}

// newBatch opens a batch for objects and info files. See durable.NewBatch.
func (s *Store) newBatch() (*durable.Batch, error) {
	return durable.NewBatch(s.o.durable(), s.path(objectsDir), s.path(infoDir), s.path(stateDir))
}

// publish makes staged objects valid, all or none: names, info files, one
// sync, rows. The caller holds their locks, has seen that they are not valid,
// and has opened the batch before it wrote them. An object that a staged one
// refers to is valid or staged too.
//
// On an error the temporary names are gone, or will be when the Store is
// closed. An object may then stand under its final name without a row, which
// is garbage.
//
// When lock files have been removed by hand, publish takes the locks again, and
// leaves them in locks.
func (s *Store) publish(ctx context.Context, locks *durable.Locks, batch *durable.Batch, objects []*staged) error {
	for try := 1; ; try++ {
		err := s.publishOnce(ctx, *locks, batch, objects)
		if !errors.Is(err, durable.ErrLockLost) || try == lockTries {
			return err
		}
		if objects, err = s.relock(ctx, locks, batch, objects); err != nil || len(objects) == 0 {
			return err
		}
	}
}

// lockTries is how often lock files may vanish before that is an error.
const lockTries = 20

func (s *Store) publishOnce(ctx context.Context, locks durable.Locks, batch *durable.Batch, objects []*staged) error {
	shared, err := s.enter(ctx, durable.Shared)
	if err != nil {
		return err
	}
	defer shared.Release()
	now := s.o.Now()
	records := make([]*record, len(objects))
	for i, o := range objects {
		records[i] = &record{Info: *o.info, Registered: now}
		if err := s.place(ctx, batch, o, records[i]); err != nil {
			if lost := locks.Check(); lost != nil { // another with the same lock was in the way
				return fault.New(fault.Busy, lost)
			}
			return fmt.Errorf("publish %s: %w", o.info.Path, err)
		}
	}
	return s.commit(ctx, batch, append(slices.Clone(locks), shared), records)
}

// checkLocks looks whether what protects the objects of this Store still does.
func (s *Store) checkLocks(locks durable.Locks) error {
	if err := locks.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == nil {
		return nil
	}
	if err := s.owner.lock.Check(); err != nil {
		// A collector may have taken what we made for nobody's, so there is no
		// going on with it.
		return fmt.Errorf("the note of what this process makes is gone: %v", err)
	}
	return nil
}

// relock takes locks that were lost again, and returns the objects that are
// still to be published, under their temporary names. While nobody held the
// locks others may have published the same.
func (s *Store) relock(ctx context.Context, locks *durable.Locks, batch *durable.Batch, objects []*staged) ([]*staged, error) {
	err := locks.Remove()
	*locks = nil
	if err != nil {
		return nil, err
	}
	infos := make([]*Info, len(objects))
	for i, o := range objects {
		infos[i] = o.info
	}
	if *locks, err = s.lock(ctx, paths(infos)...); err != nil {
		return nil, err
	}
	var rest []*staged
	for _, o := range objects {
		valid, err := s.has(ctx, o.info)
		if err != nil {
			return nil, err
		}
		if valid {
			err = removeTree(o.temp)
		} else {
			rest = append(rest, o)
			err = s.takeBack(batch, o)
		}
		if err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// errTaken is what comes of lock files that are removed by hand: another who
// had the same lock took our object for garbage.
var errTaken = errors.New("another process has removed what was made")

// takeBack gives an object its temporary name again.
func (s *Store) takeBack(batch *durable.Batch, o *staged) error {
	if _, err := os.Lstat(o.temp); err == nil {
		return nil
	}
	target := s.objectPath(o.info.Path)
	now, err := os.Lstat(target)
	if err != nil || o.file == nil || !os.SameFile(o.file, now) {
		return fault.New(fault.Busy, fmt.Errorf("publish %s: %w", o.info.Path, errTaken))
	}
	return batch.Rename(target, o.temp)
}

// place gives an object its final name and writes its info file.
func (s *Store) place(ctx context.Context, batch *durable.Batch, o *staged, r *record) (err error) {
	target := s.objectPath(r.Path)
	if err := s.clear(ctx, target); err != nil { // it has no row: garbage
		return err
	}
	if o.file, err = os.Lstat(o.temp); err != nil {
		return err
	}
	if err := batch.Rename(o.temp, target); err != nil {
		return err
	}
	info := s.path(infoDir, r.Path.Base())
	if err := os.WriteFile(info, r.encodeFile(), 0o644); err != nil {
		return err
	}
	batch.Wrote(info)
	return s.o.at("store.info")
}

// checkReferences wants what p refers to to be valid.
func (s *Store) checkReferences(tx *durable.Tx, p Path, refs []Path) error {
	for _, ref := range refs {
		found, err := tx.Get(pathsBucket, []byte(ref.Base()))
		if err != nil {
			return err
		}
		if found == nil {
			return fault.New(fault.Refused, fmt.Errorf("%s refers to %s, which is not valid", p, ref))
		}
	}
	return nil
}

// discard removes staged objects that were not published.
func (s *Store) discard(objects []*staged) error {
	var errs []error
	for _, o := range objects {
		errs = append(errs, removeTree(o.temp))
	}
	return errors.Join(errs...)
}
