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
	"slices"
	"strings"

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
	maxNesting    = 10_000  // of JSON that is skipped, as encoding/json has it elsewhere
)

// refuse gives an error the class of bad input.
func refuse(format string, args ...any) error {
	return fault.New(fault.Refused, fmt.Errorf(format, args...))
}

// A listing is what a source lists. There are very many references, but to the same
// paths: all of them share one text.
type listing struct {
	infos []*store.Info            // whose references are not checked before all is read
	named map[store.Path]mentioned // those that are listed, or referred to
}

// mentioned says where a path is listed.
type mentioned struct {
	path store.Path
	line int // 0 if it is not listed yet
}

func newListing() *listing { return &listing{named: make(map[store.Path]mentioned)} }

// path is store.Path(text), with one copy for all that are the same. It is not
// checked.
func (l *listing) path(text []byte) store.Path {
	m, ok := l.named[store.Path(text)]
	if !ok {
		m.path = store.Path(text)
		l.named[m.path] = m
	}
	return m.path
}

// add checks i, which is listed on the given line, but for its references, and adds
// it. hash is its NAR hash as it is written.
func (l *listing) add(i *store.Info, hash string, line int) error {
	if _, err := store.ParsePath(string(i.Path)); err != nil {
		return fmt.Errorf("line %d: path: %w", line, err)
	}
	fail := func(field string, err error) error {
		return fmt.Errorf("line %d: %s: %s: %w", line, i.Path, field, err)
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
		if _, err := i.Path.Dir().ParsePath(string(i.Deriver)); err != nil {
			return fail("deriver", err)
		}
	}
	if first := l.named[i.Path].line; first != 0 {
		return fmt.Errorf("line %d: %s is listed a second time (first at line %d)", line, i.Path, first)
	}
	if len(l.infos) > 0 && i.Path.Dir() != l.infos[0].Path.Dir() {
		return fmt.Errorf("line %d: %s is in another store directory than %s", line, i.Path, l.infos[0].Path)
	}
	l.named[i.Path] = mentioned{i.Path, line}
	l.infos = append(l.infos, i)
	return nil
}

// closure checks that what is listed is a closure and returns it sorted by path.
func (l *listing) closure() ([]*store.Info, error) {
	if len(l.infos) == 0 {
		return nil, errors.New("no paths in it")
	}
	for _, i := range l.infos {
		if err := l.checkReferences(i); err != nil {
			return nil, err
		}
		slices.Sort(i.References)
		i.References = slices.Compact(i.References)
		slices.Sort(i.Signatures)
	}
	slices.SortFunc(l.infos, func(a, b *store.Info) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return l.infos, nil
}

// checkReferences checks that what i refers to is listed: so it is a store path.
func (l *listing) checkReferences(i *store.Info) error {
	for _, ref := range i.References {
		if l.named[ref].line != 0 {
			continue
		}
		line := l.named[i.Path].line
		if _, err := i.Path.Dir().ParsePath(string(ref)); err != nil {
			return fmt.Errorf("line %d: %s: references: %w", line, i.Path, err)
		}
		return fmt.Errorf("line %d: %s refers to %s, which is not listed: not a closure", line, i.Path, ref)
	}
	return nil
}
