package store

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

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
	return s.together(ctx, func(a *Adder) error { return a.Import(ctx, want, r) })
}

// filler creates an object at temp, to be published by batch.
type filler func(ctx context.Context, batch *durable.Batch, temp string) error

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
// register looks again. Those that are early become valid before.
func (s *Store) referencesValid(ctx context.Context, info *Info, early func(Path) bool) error {
	refs := slices.DeleteFunc(slices.Clone(info.References), func(p Path) bool {
		return p == info.Path || early(p)
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
