package binarycache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"terrine/store"
	"terrine/store/fault"
)

// maxPaths bounds a closure that a cache describes: an operating system has
// some ten thousand paths.
const maxPaths = 1 << 20

// A Destination is a store that paths are copied into.
type Destination interface {
	// Import makes a path valid from its NAR, if it is not yet; or has it become
	// valid before what is imported later and refers to it.
	Import(ctx context.Context, want *store.Info, nar io.Reader) error
	// Hold keeps paths, valid or not yet, and all they refer to from being
	// collected, and returns that. If one of them is not valid, its error is
	// store.ErrNotFound.
	Hold(ctx context.Context, paths ...store.Path) ([]*store.Info, error)
}

// Fetch copies paths and all that they refer to out of the cache, as far as the
// destination does not have them, and returns what it has copied, sorted by
// path. A path is imported after those that it refers to: what was imported
// before an error stays, and the next Fetch goes on from there.
func (c *Cache) Fetch(ctx context.Context, to Destination, roots ...store.Path) ([]*store.Info, error) {
	infos, err := c.missing(ctx, to, roots)
	if err != nil {
		return nil, err
	}
	total := int64(0)
	nodes := make([]*store.Info, len(infos))
	for i, n := range infos {
		nodes[i] = &n.Info
		total += cmp.Or(n.FileSize, n.NARSize)
	}
	c.o.Progress.Stage("copy", total)
	err = inOrder(ctx, nodes, c.o.Workers, func(ctx context.Context, i int) error {
		return c.fetch(ctx, to, infos[i])
	})
	if err != nil {
		return nil, err
	}
	return nodes, nil
}

func (c *Cache) fetch(ctx context.Context, to Destination, n *Narinfo) error {
	r := &narReader{c: c, ctx: ctx, info: n}
	err := to.Import(ctx, &n.Info, r)
	if err != nil {
		err = r.explain(err)
	}
	return errors.Join(err, r.Close())
}

// missing returns what the cache says of roots and what they refer to, sorted
// by path, without what is valid at the destination.
func (c *Cache) missing(ctx context.Context, to Destination, roots []store.Path) ([]*Narinfo, error) {
	w := &wave{c: c, to: to, seen: make(map[store.Path]bool)}
	next := roots
	for len(next) > 0 {
		var err error
		if next, err = w.run(ctx, w.fresh(next)); err != nil {
			return nil, err
		}
		if len(w.seen) > maxPaths {
			return nil, fault.New(fault.Refused, fmt.Errorf("find closure in %s: more than %d paths", c.location, maxPaths))
		}
	}
	slices.SortFunc(w.found, func(a, b *Narinfo) int { return cmp.Compare(a.Path, b.Path) })
	return w.found, nil
}

// wave looks paths up, all of those at one distance from the roots at once.
type wave struct {
	c    *Cache
	to   Destination
	seen map[store.Path]bool

	mu    sync.Mutex
	found []*Narinfo
	next  []store.Path // what the paths of this wave refer to
}

// fresh returns those of paths that were not looked up, sorted.
func (w *wave) fresh(paths []store.Path) []*store.Info {
	var fresh []*store.Info
	for _, p := range paths {
		if !w.seen[p] {
			w.seen[p] = true
			fresh = append(fresh, &store.Info{Path: p})
		}
	}
	slices.SortFunc(fresh, func(a, b *store.Info) int { return cmp.Compare(a.Path, b.Path) })
	return fresh
}

func (w *wave) run(ctx context.Context, paths []*store.Info) ([]store.Path, error) {
	w.next = nil
	err := inOrder(ctx, paths, w.c.o.Workers, func(ctx context.Context, i int) error {
		_, err := w.to.Hold(ctx, paths[i].Path)
		if !errors.Is(err, store.ErrNotFound) {
			return err // nil for what is there, with all it refers to
		}
		n, err := w.c.Info(ctx, paths[i].Path)
		if err != nil {
			return err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.found = append(w.found, n)
		w.next = append(w.next, n.References...)
		return nil
	})
	return w.next, err
}
