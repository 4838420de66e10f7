// Package host learns closures from a Nix installation: from the JSON that
// exportReferencesGraph makes, from registration text as closureInfo and
// `nix-store --dump-db` write it, or by asking nix-store.
//
// Whatever the source, a closure comes back checked: sorted by path, no path
// twice, every reference within it, and a NAR hash and size for each. Nothing
// is said about the files themselves; who reads them finds out.
package host

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/fault"
)

// Bounds on what is read. A closure of 100,000 paths, far beyond any known
// one, has some 60 MB of JSON.
const (
	maxBytes      = 1 << 30
	maxPaths      = 1 << 20
	maxReferences = 1 << 17 // of one path
)

// refuse gives an error the class of bad input.
func refuse(format string, args ...any) error {
	return fault.New(fault.Refused, fmt.Errorf(format, args...))
}

// A listing is what a source lists. References are not checked before all is read.
type listing struct {
	builder *store.ClosureBuilder
	lines   []uint32 // on which each path is listed
	first   store.Path
}

func newListing() *listing { return &listing{builder: store.NewClosureBuilder()} }

// line returns the line on which a path is listed, 0 for none.
func (l *listing) line(number uint32) uint32 {
	if i := l.builder.Added(number); i >= 0 {
		return l.lines[i]
	}
	return 0
}

// add checks i, the path of that number, which is listed on the given line, but for its
// references, and adds it. hash is its NAR hash as it is written.
func (l *listing) add(number uint32, i *store.Info, hash string, refs []uint32, line int) error {
	path := l.builder.Path(number)
	if _, err := store.ParsePath(string(path)); err != nil {
		return fmt.Errorf("line %d: path: %w", line, err)
	}
	fail := func(field string, err error) error {
		return fmt.Errorf("line %d: %s: %s: %w", line, path, field, err)
	}
	var err error
	if i.NARHash, err = store.ParseHash(hash); err != nil {
		return fail("NAR hash", err)
	}
	if i.NARHash.Algorithm() != digest.SHA256 {
		return fail("NAR hash", fmt.Errorf("%s: want sha256", i.NARHash.Algorithm()))
	}
	if i.NARSize <= 0 {
		return fail("NAR size", fmt.Errorf("%d: want more than 0 bytes", i.NARSize))
	}
	if i.Deriver != "" {
		if _, err := path.Dir().ParsePath(string(i.Deriver)); err != nil {
			return fail("deriver", err)
		}
	}
	if first := l.line(number); first != 0 {
		return fmt.Errorf("line %d: %s is listed a second time (first at line %d)", line, path, first)
	}
	if l.first == "" {
		l.first = path
	}
	if path.Dir() != l.first.Dir() {
		return fmt.Errorf("line %d: %s is in another store directory than %s", line, path, l.first)
	}
	slices.Sort(i.Signatures)
	l.lines = append(l.lines, uint32(min(uint64(line), math.MaxUint32)))
	return l.builder.Add(number, i, refs)
}

// closure checks that what is listed is a closure, and returns it.
func (l *listing) closure() (*store.Closure, error) {
	if l.builder.Len() == 0 {
		return nil, errors.New("no paths in it")
	}
	c, err := l.builder.Closure()
	if missing, ok := errors.AsType[*store.MissingError](err); ok {
		line := l.line(missing.Number)
		if _, err := l.first.Dir().ParsePath(string(missing.Reference)); err != nil {
			return nil, fmt.Errorf("line %d: %s: references: %w", line, missing.Path, err)
		}
		return nil, fmt.Errorf("line %d: %s refers to %s, which is not listed: not a closure", line, missing.Path, missing.Reference)
	}
	return c, err
}

// infos returns what is known of each path of a closure, unless there is an error.
func infos(c *store.Closure, err error) ([]*store.Info, error) {
	if err != nil {
		return nil, err
	}
	return c.Infos(), nil
}
