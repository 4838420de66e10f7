package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"terrine/store/durable"
	"terrine/store/fault"
)

// GCOptions say how much to collect. The zero value is: everything that no
// root keeps.
type GCOptions struct {
	// DryRun finds out what would be collected and removes nothing.
	DryRun bool

	// MaxFreed ends the collection once the NAR sizes of what was removed sum
	// up to this many bytes; 0 is no bound.
	MaxFreed int64

	// OlderThan keeps what became valid less than this time ago.
	OlderThan time.Duration
}

// Collected is what GC or Delete has removed, or would remove.
type Collected struct {
	Paths   []*Info // in the order of removal: referrers first
	Bytes   int64   // sum of their NAR sizes; hard links may have freed less
	Garbage int     // files and directories that were nobody's, such as those of processes that were killed
}

// GC removes the paths that nothing keeps: no root, no running process, and no
// path that is kept itself. It also removes what is no path: remains of
// processes that are gone. While it decides, and renames what it will remove,
// nobody can publish or begin to use a path; the removal itself disturbs
// nobody.
//
// A path that is being removed has no row in the index, so a GC that is killed
// leaves garbage, and the next removes it. On an error what it returns is what
// is not valid any more.
func (s *Store) GC(ctx context.Context, o GCOptions) (*Collected, error) {
	c := &collector{s: s, dry: o.DryRun, choose: func(c *census, roots []Root) ([]*record, error) {
		return s.dead(c, roots, o), nil
	}}
	if err := c.run(ctx); err != nil {
		return c.result(), fmt.Errorf("collect garbage in the store %s: %w", s.root, err)
	}
	return c.result(), nil
}

// dead chooses what GC removes.
func (s *Store) dead(c *census, roots []Root, o GCOptions) []*record {
	keep := make([]string, len(roots))
	for i, r := range roots {
		keep[i] = r.Path.Base()
	}
	if o.OlderThan > 0 {
		// Records are to the second, so one that looks as old may be younger.
		limit := s.o.Now().Add(-o.OlderThan)
		for base, r := range c.records {
			if !r.Registered.Before(limit.Truncate(time.Second)) {
				keep = append(keep, base)
			}
		}
	}
	dead := c.removable(c.closure(keep))
	if o.MaxFreed > 0 {
		var sum int64
		for i, r := range dead {
			if sum >= o.MaxFreed {
				return dead[:i]
			}
			sum += r.NARSize
		}
	}
	return dead
}

// Delete removes paths, all or none. If one is not valid,
// errors.Is(err, ErrNotFound). One that a path refers to which is not to be
// deleted too, or that is a root, is an error of class fault.Refused that says
// who keeps it; one that a running process uses is of class fault.Busy.
func (s *Store) Delete(ctx context.Context, paths ...Path) (*Collected, error) {
	if err := s.ownAll(paths...); err != nil {
		return nil, fmt.Errorf("delete: %w", err)
	}
	c := &collector{s: s, only: true, choose: func(c *census, roots []Root) ([]*record, error) {
		return c.deletable(paths, roots)
	}}
	if err := c.run(ctx); err != nil {
		return c.result(), fmt.Errorf("delete: %w", err)
	}
	return c.result(), nil
}

// deletable returns the records of paths, referrers first, or why they must stay.
func (c *census) deletable(paths []Path, roots []Root) ([]*record, error) {
	doomed := make(map[string]bool, len(paths))
	for _, p := range paths {
		doomed[p.Base()] = true
	}
	rooted := make(map[string]Root)
	for _, r := range roots {
		if old, ok := rooted[r.Path.Base()]; !ok || old.Name == "" {
			rooted[r.Path.Base()] = r
		}
	}
	for _, p := range sortedSet(paths) {
		if c.records[p.Base()] == nil {
			return nil, notFound(p)
		}
		var referrers []Path
		for _, base := range c.referrers[p.Base()] {
			if !doomed[base] {
				referrers = append(referrers, c.records[base].Path)
			}
		}
		if len(referrers) > 0 {
			return nil, fault.New(fault.Refused, fmt.Errorf("%s is referred to by %s", p, some(referrers)))
		}
		if r, ok := rooted[p.Base()]; ok {
			return nil, r.keeps(p)
		}
	}
	keep := make(map[string]bool, len(c.records))
	for base := range c.records {
		keep[base] = !doomed[base]
	}
	return c.removable(keep), nil
}

// keeps is the error for one who would delete p.
func (r Root) keeps(p Path) error {
	switch {
	case r.Name != "":
		err := fault.New(fault.Refused, fmt.Errorf("%s is kept by the root %s", p, r.Name))
		return fault.Hint(err, "terrine store roots rm "+fault.Word(r.Name))
	case r.Link != "":
		err := fault.New(fault.Refused, fmt.Errorf("%s is kept by the symlink %s", p, r.Link))
		return fault.Hint(err, "remove the symlink")
	}
	return fault.New(fault.Busy, fmt.Errorf("%s is in use by %s", p, r))
}

// collector is one run of GC or Delete.
type collector struct {
	s      *Store
	dry    bool // remove nothing
	only   bool // leave garbage alone
	choose func(c *census, roots []Root) ([]*record, error)

	removed []*record
	garbage int
	trash   []trash
}

// trash is to be removed, and has a temporary name.
type trash struct {
	path string
	size int64 // of its NAR; 0 is not known
}

func (c *collector) result() *Collected {
	r := &Collected{Garbage: c.garbage}
	for _, rec := range c.removed {
		r.Paths = append(r.Paths, &rec.Info)
		r.Bytes += rec.NARSize
	}
	return r
}

func (c *collector) run(ctx context.Context) error {
	if c.dry {
		return c.look(ctx)
	}
	c.s.o.Progress.Stage("collect", 0)
	// Now, and not under the lock, for what was left may be large.
	if _, err := c.s.claim(ctx); err != nil {
		return err
	}
	if err := c.s.sweep(ctx, 0, math.MaxInt); err != nil {
		return err
	}
	if err := c.s.db.RemoveStale(ctx); err != nil {
		return err
	}
	err := c.unpublish(ctx)
	if err == nil || ctx.Err() == nil {
		err = errors.Join(err, c.empty(ctx))
	}
	if ctx.Err() != nil {
		c.s.hurry()
	}
	return err
}

// look finds out what would be removed.
func (c *collector) look(ctx context.Context) error {
	roots, err := c.s.Roots(ctx)
	if err != nil {
		return err
	}
	return c.s.db.View(ctx, func(tx *durable.Tx) error { return c.decide(tx, roots) })
}

func (c *collector) decide(tx *durable.Tx, roots []Root) error {
	census, err := c.s.census(tx)
	if err != nil {
		return err
	}
	c.removed, err = c.choose(census, roots)
	return err
}

// unpublish decides what goes, and takes its row, its info file and its name
// from it, in this order.
func (c *collector) unpublish(ctx context.Context) (err error) {
	lock, err := c.s.enter(ctx, durable.Exclusive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	roots, err := c.s.Roots(ctx)
	if err != nil {
		return err
	}
	if err := c.deleteRows(ctx, roots); err != nil {
		c.removed = nil
		return err
	}
	if err := c.s.o.at("gc.afterRowDelete"); err != nil {
		return err
	}
	for _, r := range c.removed {
		if err := c.discard(ctx, r); err != nil {
			return err
		}
	}
	if c.only {
		return nil
	}
	// Under the lock: whoever makes an indirect root registers it before there is
	// a link.
	return errors.Join(c.strays(ctx), c.s.pruneLinks())
}

func (c *collector) deleteRows(ctx context.Context, roots []Root) error {
	return c.s.db.Update(ctx, func(tx *durable.Tx) error {
		if err := c.decide(tx, roots); err != nil {
			return err
		}
		for _, r := range c.removed {
			if err := tx.Delete(pathsBucket, []byte(r.Path.Base())); err != nil {
				return err
			}
		}
		return nil
	})
}
