// Package host learns closures from a Nix installation: from the JSON that
// exportReferencesGraph makes, from registration text as closureInfo and
// `nix-store --dump-db` write it, or by asking nix-store.
//
// Whatever the source, a closure comes back checked: sorted by path, no path
// twice, every reference within it, and a NAR hash and size for each. Nothing
// is said about the files themselves; who reads them finds out.
package host

import (
	"cmp"
	"errors"
	"fmt"
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
	maxNesting    = 10_000  // of JSON that is skipped, as encoding/json has it elsewhere
)

// refuse gives an error the class of bad input.
func refuse(format string, args ...any) error {
	return fault.New(fault.Refused, fmt.Errorf(format, args...))
}

// entry is a path as a source lists it, before it is checked.
type entry struct {
	path, hash, deriver string
	size                int64
	refs                []string
	sigs                []string
	ca                  string
	at                  string // where it stands, for messages: "line 7"
}

// info parses the fields of an entry.
func (e *entry) info() (*store.Info, error) {
	path, err := store.ParsePath(e.path)
	if err != nil {
		return nil, fmt.Errorf("%s: path: %w", e.at, err)
	}
	fail := func(field string, err error) error {
		return fmt.Errorf("%s: %s: %s: %w", e.at, path, field, err)
	}
	hash, err := store.ParseHash(e.hash)
	if err != nil {
		return nil, fail("NAR hash", err)
	}
	if hash.Algorithm() != digest.SHA256 {
		return nil, fail("NAR hash", fmt.Errorf("%s: want sha256", hash.Algorithm()))
	}
	if e.size <= 0 {
		return nil, fail("NAR size", fmt.Errorf("%d: want more than 0 bytes", e.size))
	}
	i := &store.Info{Path: path, NARHash: hash, NARSize: e.size, Signatures: e.sigs, CA: e.ca}
	if len(e.refs) > 0 {
		i.References = make([]store.Path, 0, len(e.refs))
	}
	dir := path.Dir()
	for _, s := range e.refs {
		ref, err := dir.ParsePath(s)
		if err != nil {
			return nil, fail("references", err)
		}
		i.References = append(i.References, ref)
	}
	slices.Sort(i.References)
	i.References = slices.Compact(i.References)
	slices.Sort(i.Signatures)
	if e.deriver != "" {
		if i.Deriver, err = dir.ParsePath(e.deriver); err != nil {
			return nil, fail("deriver", err)
		}
	}
	return i, nil
}

// closure checks that entries are a closure and returns it sorted by path.
func closure(entries []*entry) ([]*store.Info, error) {
	if len(entries) == 0 {
		return nil, errors.New("no paths in it")
	}
	infos := make([]*store.Info, 0, len(entries))
	listed := make(map[store.Path]*entry, len(entries))
	for _, e := range entries {
		i, err := e.info()
		if err != nil {
			return nil, err
		}
		if first, ok := listed[i.Path]; ok {
			return nil, fmt.Errorf("%s: %s is listed a second time (first at %s)", e.at, i.Path, first.at)
		}
		if len(infos) > 0 && i.Path.Dir() != infos[0].Path.Dir() {
			return nil, fmt.Errorf("%s: %s is in another store directory than %s", e.at, i.Path, infos[0].Path)
		}
		listed[i.Path] = e
		infos = append(infos, i)
	}
	for _, i := range infos {
		for k, ref := range i.References {
			e, ok := listed[ref]
			if !ok {
				return nil, fmt.Errorf("%s: %s refers to %s, which is not listed: not a closure", listed[i.Path].at, i.Path, ref)
			}
			i.References[k] = store.Path(e.path) // one text for all that refer to it
		}
	}
	slices.SortFunc(infos, func(a, b *store.Info) int { return cmp.Compare(a.Path, b.Path) })
	return infos, nil
}
