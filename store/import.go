package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
)

// Import makes want.Path valid from its NAR. When it returns nil, the object
// is on disk and the store says what want says.
//
// A path that is valid already is left as it is, and nothing is read from r.
// If another goroutine or process is making the same path, Import waits for
// it, and then needs to do nothing. References must be valid before, or be
// want.Path itself. The path and its references are then in use, as by Hold.
//
// A NAR that is malformed, or a want that is, is of class fault.Refused; one
// whose hash or size is not want's is of class fault.Integrity. After any
// error the path is as valid as it was before.
func (s *Store) Import(ctx context.Context, want *Info, r io.Reader) error {
	return s.importBy(ctx, s.make, want, r)
}

// importBy is Import with what makes objects valid, now or later.
func (s *Store) importBy(ctx context.Context, make func(context.Context, *Info, filler) error, want *Info, r io.Reader) error {
	info, err := s.normal(want)
	if err != nil {
		return fault.New(fault.Refused, fmt.Errorf("import: %w", err))
	}
	err = make(ctx, info, func(ctx context.Context, batch *durable.Batch, temp string) error {
		return extract(ctx, r, temp, info, batch.Ahead)
	})
	if err != nil {
		return fmt.Errorf("import %s: %w", info.Path, err)
	}
	return nil
}

// filler creates an object at temp, to be published by batch.
type filler func(ctx context.Context, batch *durable.Batch, temp string) error

// make makes one path valid: fill creates its object.
func (s *Store) make(ctx context.Context, info *Info, fill filler) error {
	return s.full(s.makeObject(ctx, info, fill), strconv.FormatInt(info.NARSize, 10))
}

func (s *Store) makeObject(ctx context.Context, info *Info, fill filler) (err error) {
	if err := s.hold(ctx, append([]Path{info.Path}, info.References...)); err != nil {
		return err
	}
	if done, err := s.has(ctx, info); done || err != nil {
		return err
	}
	locks, err := s.lock(ctx, info.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Remove()) }()
	if done, err := s.has(ctx, info); done || err != nil {
		return err
	}
	if err := s.referencesValid(ctx, info, nil); err != nil {
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
	if err = s.o.at("store.fill"); err == nil {
		err = fill(ctx, batch, temp)
	}
	if err != nil {
		return errors.Join(err, removeTree(temp))
	}
	objects := []*staged{{info: info, temp: temp}}
	if err := s.publish(ctx, &locks, batch, objects); err != nil {
		return errors.Join(err, s.discard(objects))
	}
	return nil
}

// has reports whether info.Path is valid. If it is, but with other contents,
// that is an error.
func (s *Store) has(ctx context.Context, info *Info) (bool, error) {
	valid, err := s.haveAll(ctx, info)
	return err == nil && valid[0], err
}

// haveAll is has for several paths at one moment.
func (s *Store) haveAll(ctx context.Context, infos ...*Info) ([]bool, error) {
	valid := make([]bool, len(infos))
	err := s.db.View(ctx, func(tx *durable.Tx) error {
		for i, info := range infos {
			have, err := s.get(tx, info.Path)
			if err != nil {
				return err
			}
			if have != nil && have.NARHash != info.NARHash {
				return fault.New(fault.Integrity, fmt.Errorf("%s: NAR hash %s, but the store has it with %s",
					info.Path, FormatHash(info.NARHash), FormatHash(have.NARHash)))
			}
			valid[i] = have != nil
		}
		return nil
	})
	return valid, err
}

// referencesValid looks for missing references before the work is done;
// register looks again. Those that are early, which may be nil, become valid before.
func (s *Store) referencesValid(ctx context.Context, info *Info, early func(Path) bool) error {
	refs := slices.DeleteFunc(slices.Clone(info.References), func(p Path) bool {
		return p == info.Path || early != nil && early(p)
	})
	if len(refs) == 0 {
		return nil
	}
	return s.db.View(ctx, func(tx *durable.Tx) error { return s.checkReferences(tx, info.Path, refs) })
}

// extract makes temp from the NAR in r, which must be the one of info. written is
// as in nar.Extract.
func extract(ctx context.Context, r io.Reader, temp string, info *Info, written func(fd int, size int64) (taken bool)) error {
	v := newVerifier(r, info)
	err := nar.Extract(ctx, v, temp, written)
	if err == nil || v.tooLong() {
		return v.check()
	}
	return fault.Rename(err, filepath.Base(temp), info.Path.Base())
}

// verifier reads a NAR and compares it with what is known of it.
type verifier struct {
	r    io.Reader
	info *Info
	sum  *narSum
}

func newVerifier(r io.Reader, info *Info) *verifier {
	return &verifier{r: r, info: info, sum: newNARSum()}
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	_, _ = v.sum.Write(p[:n])
	if v.tooLong() {
		return 0, v.check()
	}
	return n, err
}

func (v *verifier) tooLong() bool { return v.sum.size > v.info.NARSize }

func (v *verifier) check() error {
	if v.tooLong() {
		return fault.New(fault.Integrity, fmt.Errorf("NAR is longer than the %d bytes announced", v.info.NARSize))
	}
	if v.sum.size < v.info.NARSize {
		return fault.New(fault.Integrity, fmt.Errorf("NAR has %d bytes: want %d", v.sum.size, v.info.NARSize))
	}
	if got := v.sum.digest(); got != v.info.NARHash {
		return fault.New(fault.Integrity, fmt.Errorf("NAR hash %s: want %s", FormatHash(got), FormatHash(v.info.NARHash)))
	}
	return nil
}
