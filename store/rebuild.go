package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"terrine/store/durable"
	"terrine/store/fault"
)

// Rebuilt is what Rebuild has found.
type Rebuilt struct {
	Valid []Path // in the new index, sorted
	Lost  []Lost // known of, or perhaps once valid, but not valid now; sorted by path
}

// Lost is a path that is not valid any more, and why.
type Lost struct {
	Path   Path
	Reason error
}

// Rebuild makes the index anew from the objects and what the old index, if it
// can be read, or else the info files know of them: every object is read and
// must have its NAR hash, and everything that it refers to must be there too.
// It waits for those who are publishing, and keeps others from it meanwhile.
// Until the new index is complete the old one stays, so Rebuild may be stopped
// and begun again.
func (s *Store) Rebuild(ctx context.Context) (*Rebuilt, error) {
	r, err := s.rebuild(ctx)
	if err != nil {
		return nil, fmt.Errorf("rebuild the index of %s: %w", s.root, err)
	}
	return r, nil
}

func (s *Store) rebuild(ctx context.Context) (*Rebuilt, error) {
	lock, err := s.enter(ctx, durable.Exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	old, oldErr := s.rows(ctx) // if there is no reading it, the info files will do
	names, err := s.knownNames(old)
	if err != nil {
		return nil, err
	}
	found, result, err := s.recoverAll(ctx, names, old)
	if err == nil && oldErr != nil {
		err = s.unknown(ctx, names, result)
	}
	if err != nil {
		return nil, err
	}
	dropDangling(found, result)
	err = s.db.Replace(ctx, func(tx *durable.Tx) error {
		for _, base := range names {
			r := found[base]
			if r == nil {
				continue
			}
			result.Valid = append(result.Valid, r.Path)
			if err := tx.Put(pathsBucket, []byte(base), r.encode()); err != nil {
				return err
			}
		}
		return nil
	})
	slices.SortFunc(result.Lost, func(a, b Lost) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return result, err
}

// rows returns what the index has, by base name.
func (s *Store) rows(ctx context.Context) (map[string]*record, error) {
	rows := make(map[string]*record)
	err := s.db.View(ctx, func(tx *durable.Tx) error {
		return tx.Scan(pathsBucket, nil, func(key, value []byte) error {
			r, err := s.decode(string(key), value)
			rows[string(key)] = r
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// knownNames returns the base names of the paths that have an info file or a
// row, sorted.
func (s *Store) knownNames(rows map[string]*record) ([]string, error) {
	entries, err := os.ReadDir(s.path(infoDir))
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(rows))
	for _, e := range entries {
		if checkBase(e.Name()) == nil && rows[e.Name()] == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// unknown notes as lost the objects that nothing is known of. While there is a row for
// every path such an object is garbage; but when the old index cannot be read, it
// may have been a path whose info file is gone. names is sorted.
func (s *Store) unknown(ctx context.Context, names []string, result *Rebuilt) error {
	return eachName(ctx, s.path(objectsDir), func(name string) error {
		if _, known := slices.BinarySearch(names, name); !known && checkBase(name) == nil {
			result.Lost = append(result.Lost, Lost{s.o.Dir.path(name), damagedObject("its info file is missing")})
		}
		return nil
	})
}

// recoverAll reads info files and objects, and returns the records of those that
// match, by base name. old has the rows of the old index.
func (s *Store) recoverAll(ctx context.Context, names []string, old map[string]*record) (map[string]*record, *Rebuilt, error) {
	type outcome struct {
		r   *record
		err error
	}
	found, result := make(map[string]*record, len(names)), &Rebuilt{}
	s.o.Progress.Stage("rebuild", sizeOf(maps.Values(old)))
	var stop error
	ordered(ctx, len(names), func(ctx context.Context, i int) outcome {
		r, err := s.recoverOne(ctx, names[i], old[names[i]])
		return outcome{r, err}
	}, func(i int, o outcome) bool {
		if r := cmp.Or(o.r, old[names[i]]); r != nil {
			s.o.Progress.Add(r.NARSize)
		}
		switch {
		case o.err == nil:
			found[names[i]] = o.r
		case fault.CodeOf(o.err) == fault.StoreDamaged:
			result.Lost = append(result.Lost, Lost{s.o.Dir.path(names[i]), o.err})
		default:
			stop = o.err
		}
		return stop == nil
	})
	if stop == nil && ctx.Err() != nil {
		stop = context.Cause(ctx)
	}
	return found, result, stop
}

// recoverOne returns the record of an object that is as it should be: row, which is
// that of the old index, or nil; or else that of the info file.
func (s *Store) recoverOne(ctx context.Context, base string, row *record) (*record, error) {
	r, err := s.readInfo(base)
	if row != nil {
		rowErr := s.matches(ctx, &row.Info)
		switch {
		case rowErr == nil:
			return row, s.repairInfo(ctx, row)
		case fault.CodeOf(rowErr) != fault.StoreDamaged, err != nil, r.NARHash == row.NARHash:
			return nil, rowErr
		}
	}
	if err == nil {
		err = s.matches(ctx, &r.Info)
	}
	return r, err
}

// readInfo reads the info file of a path.
func (s *Store) readInfo(base string) (*record, error) {
	b, err := os.ReadFile(filepath.Join(s.path(infoDir), base))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damagedObject("its info file is missing")
	}
	if err != nil {
		return nil, err
	}
	r, err := decodeFile(s.o.Dir, base, b)
	return r, fault.New(fault.StoreDamaged, err)
}

// dropDangling removes the records that refer to what is not among them,
// until there are none.
func dropDangling(found map[string]*record, result *Rebuilt) {
	referrers := make(map[string][]*record)
	var gone []string
	for _, own := range slices.Sorted(maps.Keys(found)) { // so that what is told does not depend on chance
		r := found[own]
		for _, ref := range r.References {
			base := ref.Base()
			if referrers[base] == nil && found[base] == nil {
				gone = append(gone, base)
			}
			referrers[base] = append(referrers[base], r)
		}
	}
	slices.Sort(gone)
	for len(gone) > 0 {
		base := gone[0]
		gone = gone[1:]
		for _, r := range referrers[base] {
			own := r.Path.Base()
			if found[own] == nil {
				continue
			}
			delete(found, own)
			gone = append(gone, own)
			result.Lost = append(result.Lost, Lost{r.Path, damagedObject("it refers to %s, which is lost", base)})
		}
	}
}
