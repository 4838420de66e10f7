package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"terrine/store/durable"
	"terrine/store/fault"
)

// pathsBucket has a record for every valid path, under its base name.
const pathsBucket = "paths"

// get returns the record of p, or nil.
func (s *Store) get(tx *durable.Tx, p Path) (*record, error) {
	b, err := tx.Get(pathsBucket, []byte(p.Base()))
	if b == nil || err != nil {
		return nil, err
	}
	return s.decode(p.Base(), b)
}

func (s *Store) decode(base string, b []byte) (*record, error) {
	r, err := decodeRecord(s.o.Dir, base, b)
	if err != nil {
		return nil, fault.New(fault.StoreDamaged, err)
	}
	return r, nil
}

// Info returns what the store knows of p. If p is not valid,
// errors.Is(err, ErrNotFound). The result is the caller's.
func (s *Store) Info(ctx context.Context, p Path) (*Info, error) {
	if err := s.ownAll(p); err != nil {
		return nil, err
	}
	r, err := s.record(ctx, p)
	if err != nil {
		return nil, err
	}
	return &r.Info, nil
}

// record returns the record of p, a path in the store's directory.
func (s *Store) record(ctx context.Context, p Path) (r *record, err error) {
	err = s.db.View(ctx, func(tx *durable.Tx) (err error) {
		r, err = s.get(tx, p)
		return err
	})
	if err == nil && r == nil {
		err = notFound(p)
	}
	return r, err
}

func notFound(p Path) error {
	return fault.Hint(fmt.Errorf("%s: %w", p, ErrNotFound), "terrine store ls shows the paths there are; terrine store add or import makes others")
}

// List returns what the store knows of every valid path, sorted by path. The
// result is the caller's.
func (s *Store) List(ctx context.Context) ([]*Info, error) {
	var list []*Info
	err := s.db.View(ctx, func(tx *durable.Tx) error {
		list = nil
		return tx.Scan(pathsBucket, nil, func(key, value []byte) error {
			r, err := s.decode(string(key), value)
			if err == nil {
				list = append(list, &r.Info)
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// validPaths returns every valid path, sorted.
func (s *Store) validPaths(ctx context.Context) ([]Path, error) {
	var list []Path
	err := s.db.View(ctx, func(tx *durable.Tx) error {
		return tx.Scan(pathsBucket, nil, func(key, _ []byte) error {
			p, err := s.o.Dir.Join(string(key))
			list = append(list, p)
			return fault.New(fault.StoreDamaged, err)
		})
	})
	return list, err
}

// Closure returns what the store knows of roots and of everything that they
// refer to, directly or not, sorted by path. If a root is not valid,
// errors.Is(err, ErrNotFound). The result is the caller's.
func (s *Store) Closure(ctx context.Context, roots ...Path) ([]*Info, error) {
	if err := s.ownAll(roots...); err != nil {
		return nil, err
	}
	var list []*Info
	err := s.db.View(ctx, func(tx *durable.Tx) (err error) {
		list, err = s.closure(tx, roots)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b *Info) int { return cmp.Compare(a.Path, b.Path) })
	return list, nil
}

func (s *Store) closure(tx *durable.Tx, roots []Path) ([]*Info, error) {
	var list []*Info
	referrer := make(map[Path]Path, len(roots)) // of each path seen, one that led there
	todo := sortedSet(roots)
	for _, p := range todo {
		referrer[p] = ""
	}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		r, err := s.get(tx, p)
		if err != nil {
			return nil, err
		}
		if r == nil && referrer[p] == "" {
			return nil, notFound(p)
		}
		if r == nil {
			return nil, fault.New(fault.StoreDamaged, fmt.Errorf("%s refers to %s, which is not valid", referrer[p], p))
		}
		list = append(list, &r.Info)
		for _, ref := range r.References {
			if _, seen := referrer[ref]; !seen {
				referrer[ref] = p
				todo = append(todo, ref)
			}
		}
	}
	return list, nil
}
