package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
)

// Source is a place that has store objects: it returns what that place knows
// of p, and its NAR, which the caller closes. If it does not have p,
// errors.Is(err, ErrNotFound). Nothing that it returns needs to be trusted.
type Source func(ctx context.Context, p Path) (*Info, io.ReadCloser, error)

// ObjectSource is a Source of objects that lie on disk, in dir under their
// base names. query describes their closures, as Store.Hold does.
func ObjectSource(dir string, query func(ctx context.Context, roots ...Path) ([]*Info, error)) Source {
	return func(ctx context.Context, p Path) (*Info, io.ReadCloser, error) {
		infos, err := query(ctx, p)
		if err != nil {
			return nil, nil, err
		}
		for _, info := range infos {
			if info.Path == p {
				return info, dump(ctx, dir+"/"+p.Base()), nil
			}
		}
		return nil, nil, notFound(p)
	}
}

// dumped is a NAR while it is made. Close ends the making.
type dumped struct {
	*io.PipeReader
	done chan struct{}
}

func dump(ctx context.Context, path string) *dumped {
	r, w := io.Pipe()
	d := &dumped{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		w.CloseWithError(nar.Dump(ctx, w, path))
	}()
	return d
}

func (d *dumped) Close() error {
	err := d.PipeReader.Close()
	<-d.done
	return err
}

// Repair makes a valid path whole again, if Verify finds anything wrong with
// it: its object and paths that it refers to come from a Source, its info file
// from the index. What the Source gives must have the NAR hash that the path
// has here. Who reads the object meanwhile finds the damaged one or the whole
// one; after any error it is as it was.
func (s *Store) Repair(ctx context.Context, p Path, from Source) error {
	r, err := s.repair(ctx, p, from)
	if err == nil {
		err = s.repairReferences(ctx, r, from) // which takes their locks, one by one
	}
	if err != nil {
		return fmt.Errorf("repair %s: %w", p, err)
	}
	return nil
}

// repair is Repair but for what p refers to. It returns the record of p.
func (s *Store) repair(ctx context.Context, p Path, from Source) (r *record, err error) {
	if err := s.ownAll(p); err != nil {
		return nil, err
	}
	if err := s.hold(ctx, []Path{p}); err != nil {
		return nil, err
	}
	locks, err := s.lock(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, locks.Remove()) }()
	if r, err = s.record(ctx, p); err != nil {
		return nil, err
	}
	if err := s.repairObject(ctx, locks, r, from); err != nil {
		return nil, err
	}
	return r, s.repairInfo(ctx, r)
}

// repairObject replaces the object of r if it is damaged.
func (s *Store) repairObject(ctx context.Context, locks durable.Locks, r *record, from Source) error {
	if err := s.matches(ctx, &r.Info); fault.CodeOf(err) != fault.StoreDamaged {
		return err
	}
	batch, err := s.newBatch()
	if err != nil {
		return err
	}
	defer batch.Close()
	temp, err := s.newObject(ctx)
	if err != nil {
		return err
	}
	if err := fetchObject(ctx, &r.Info, temp, from); err != nil {
		return errors.Join(err, removeTree(temp))
	}
	away, err := s.temp(ctx)
	if err != nil {
		return err
	}
	err = s.swap(ctx, locks, batch, temp, s.objectPath(r.Path), away)
	return errors.Join(err, removeTree(temp), removeTree(away))
}

// fetchObject makes temp the object that info describes.
func fetchObject(ctx context.Context, info *Info, temp string, from Source) error {
	_, r, err := from(ctx, info.Path)
	if err != nil {
		return err
	}
	return errors.Join(extract(ctx, r, temp, info, nil), r.Close())
}

// swap puts the object at temp in the place of the one at target.
func (s *Store) swap(ctx context.Context, locks durable.Locks, batch *durable.Batch, temp, target, away string) error {
	shared, err := s.enter(ctx, durable.Shared)
	if err != nil {
		return err
	}
	defer shared.Release()
	if err := batch.Sync(); err != nil {
		return err
	}
	if err := s.checkLocks(append(append(durable.Locks{}, locks...), shared)); err != nil {
		return fault.New(fault.Busy, err)
	}
	if err := batch.Replace(temp, target, away); err != nil {
		return err
	}
	return batch.Sync()
}

// repairInfo writes the info file of r anew if it is not as it should be.
func (s *Store) repairInfo(ctx context.Context, r *record) error {
	if s.inspectFile(&r.Info) == nil {
		return nil
	}
	return durable.WriteFile(ctx, s.path(infoDir, r.Path.Base()), r.encodeFile(), 0o644, s.o.durable())
}

// repairReferences makes valid what r refers to.
func (s *Store) repairReferences(ctx context.Context, r *record, from Source) error {
	for _, ref := range r.References {
		if ref == r.Path {
			continue
		}
		if err := s.fetch(ctx, ref, from); err != nil {
			return err
		}
	}
	return nil
}

// fetch imports p and what it leads to, as far as that is not valid: each path
// after those that it refers to.
func (s *Store) fetch(ctx context.Context, p Path, from Source) error {
	wanted, begun := []Path{p}, make(map[Path]bool)
	for len(wanted) > 0 {
		p := wanted[len(wanted)-1]
		missing, err := s.fetchOne(ctx, p, from)
		switch {
		case err != nil:
			return err
		case len(missing) == 0:
			wanted = wanted[:len(wanted)-1]
		case begun[p]:
			return fault.New(fault.Refused, fmt.Errorf("the references of %s go in a circle", p))
		default:
			begun[p] = true
			wanted = append(wanted, missing...)
		}
	}
	return nil
}

// fetchOne imports p unless it is valid, or returns what has to be imported first.
func (s *Store) fetchOne(ctx context.Context, p Path, from Source) (missing []Path, err error) {
	if _, err := s.Info(ctx, p); !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	info, r, err := from(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if info.Path != p {
		return nil, fault.New(fault.Integrity, fmt.Errorf("asked for %s, the source gave %s", p, info.Path))
	}
	for _, ref := range info.References {
		if ref == p {
			continue
		}
		if _, err := s.Info(ctx, ref); errors.Is(err, ErrNotFound) {
			missing = append(missing, ref)
		} else if err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 {
		return missing, nil
	}
	return nil, s.Import(ctx, info, r)
}
