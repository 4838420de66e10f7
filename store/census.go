package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"terrine/store/durable"
)

// census is what the index says of all paths at one moment, by base name.
type census struct {
	records   map[string]*record
	referrers map[string][]string // without those that refer to themselves; sorted
}

func (s *Store) census(tx *durable.Tx) (*census, error) {
	c := &census{records: make(map[string]*record), referrers: make(map[string][]string)}
	err := tx.Scan(pathsBucket, nil, func(key, value []byte) error {
		base := string(key)
		r, err := s.decode(base, value)
		if err != nil {
			return err
		}
		c.records[base] = r
		for _, ref := range r.References {
			if to := ref.Base(); to != base {
				c.referrers[to] = append(c.referrers[to], base)
			}
		}
		return nil
	})
	return c, err
}

// closure returns roots that are valid and all that they refer to.
func (c *census) closure(roots []string) map[string]bool {
	seen := make(map[string]bool)
	todo := slices.Clone(roots)
	for len(todo) > 0 {
		base := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		r := c.records[base]
		if r == nil || seen[base] {
			continue
		}
		seen[base] = true
		for _, ref := range r.References {
			todo = append(todo, ref.Base())
		}
	}
	return seen
}

// removable returns the records of the paths that are not in keep, in rounds:
// those that nothing refers to, by age; then those that only these referred
// to; and so on. Any number of them from the start may be removed. Paths in a
// circle, which a store of ours cannot have, and what they refer to are left.
func (c *census) removable(keep map[string]bool) []*record {
	left := make(map[string]int) // referrers that have not had their turn
	var ready, order []*record
	for base, r := range c.records {
		if keep[base] {
			continue
		}
		left[base] = len(c.referrers[base])
		if left[base] == 0 {
			ready = append(ready, r)
		}
	}
	for len(ready) > 0 {
		slices.SortFunc(ready, func(a, b *record) int {
			return cmp.Or(a.Registered.Compare(b.Registered), cmp.Compare(a.Path, b.Path))
		})
		round := ready
		ready = nil
		for _, r := range round {
			order = append(order, r)
			for _, ref := range r.References {
				base := ref.Base()
				if base == r.Path.Base() || keep[base] || c.records[base] == nil {
					continue
				}
				if left[base]--; left[base] == 0 {
					ready = append(ready, c.records[base])
				}
			}
		}
	}
	return order
}

// Detail is what a store knows of a path and of its place among the others.
type Detail struct {
	Info
	ClosureSize int64  // sum of the NAR sizes of the path and of all that it refers to, in bytes
	Referrers   []Path // the valid paths that refer to it, without itself; sorted
}

// Detail returns what the store knows of p. It reads the whole index. If p is
// not valid, errors.Is(err, ErrNotFound).
func (s *Store) Detail(ctx context.Context, p Path) (*Detail, error) {
	if err := s.ownAll(p); err != nil {
		return nil, err
	}
	var c *census
	err := s.db.View(ctx, func(tx *durable.Tx) (err error) {
		c, err = s.census(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := c.records[p.Base()]
	if r == nil {
		return nil, notFound(p)
	}
	d := &Detail{Info: r.Info}
	for base := range c.closure([]string{p.Base()}) {
		d.ClosureSize += c.records[base].NARSize
	}
	for _, base := range c.referrers[p.Base()] {
		d.Referrers = append(d.Referrers, c.records[base].Path)
	}
	return d, nil
}

// some lists paths for a message, a few of them.
func some(paths []Path) string {
	const most = 5
	names := make([]string, 0, most)
	for _, p := range paths[:min(most, len(paths))] {
		names = append(names, string(p))
	}
	text := strings.Join(names, ", ")
	if more := len(paths) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
