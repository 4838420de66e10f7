package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"reflect"

	"terrine/store/fault"
	"terrine/store/nar"
)

// Verify reads every object of the store and compares it with what the store
// knows of it. The sequence has each damaged path, in order, with an error of
// class fault.StoreDamaged that says what is wrong with it; nothing for a
// store that is as it should be. An error that ends the check early, such as
// that of a damaged index, comes last and with the path "".
//
// Paths that are added or removed meanwhile are no damage.
func (s *Store) Verify(ctx context.Context) iter.Seq2[Path, error] {
	return func(yield func(Path, error) bool) {
		list, err := s.List(ctx)
		if err != nil {
			yield("", err)
			return
		}
		valid := make(map[Path]bool, len(list))
		for _, info := range list {
			valid[info.Path] = true
		}
		s.stage("verify", list)
		stopped := false
		ordered(ctx, len(list), func(ctx context.Context, i int) error {
			return s.verify(ctx, list[i], valid)
		}, func(i int, err error) bool {
			s.o.Progress.Add(list[i].NARSize)
			if err == nil {
				return true
			}
			p := list[i].Path
			if fault.CodeOf(err) != fault.StoreDamaged {
				p = ""
			}
			stopped = !yield(p, err) || p == ""
			return !stopped
		})
		if err := ctx.Err(); err != nil && !stopped {
			yield("", context.Cause(ctx))
		}
	}
}

// verify returns what is wrong with one path, in class fault.StoreDamaged, or
// what kept it from finding out.
func (s *Store) verify(ctx context.Context, info *Info, valid map[Path]bool) error {
	damage := s.inspect(ctx, info, valid)
	if damage == nil || fault.CodeOf(damage) != fault.StoreDamaged {
		return damage
	}
	// It may have been removed while it was read, and may be back. While it is
	// held, it stays.
	infos, err := s.Hold(ctx, info.Path)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if fault.CodeOf(err) == fault.StoreDamaged {
		return damage // what it refers to is not valid
	}
	if err != nil {
		return err
	}
	now := make(map[Path]bool, len(infos))
	for _, other := range infos {
		now[other.Path] = true
		if other.Path == info.Path {
			info = other
		}
	}
	return s.inspect(ctx, info, now)
}

func damagedObject(format string, args ...any) error {
	return fault.New(fault.StoreDamaged, fmt.Errorf(format, args...))
}

func (s *Store) inspect(ctx context.Context, info *Info, valid map[Path]bool) error {
	if err := s.matches(ctx, info); err != nil {
		return err
	}
	for _, ref := range info.References {
		if !valid[ref] {
			return damagedObject("it refers to %s, which is not valid", ref)
		}
	}
	return s.inspectFile(info)
}

// inspectFile compares the info file of a path with info, which is from its row: if
// the index is lost, a rebuild goes by the file. When each was written does not matter.
func (s *Store) inspectFile(info *Info) error {
	r, err := s.readInfo(info.Path.Base())
	if err == nil && !reflect.DeepEqual(&r.Info, info) {
		err = damagedObject("its info file differs from what the index has")
	}
	return err
}

// matches compares the object on disk with its NAR hash and size.
func (s *Store) matches(ctx context.Context, info *Info) error {
	path := s.objectPath(info.Path)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return damagedObject("it is missing")
	}
	hash, size, err := nar.Hash(ctx, path)
	switch {
	case fault.CodeOf(err) == fault.Refused, errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.StoreDamaged, err)
	case err != nil:
		return err
	case size != info.NARSize:
		return damagedObject("its size differs: NAR of %d bytes, want %d", size, info.NARSize)
	case hash != info.NARHash:
		return damagedObject("its hash differs: %s, want %s", FormatHash(hash), FormatHash(info.NARHash))
	}
	return nil
}
