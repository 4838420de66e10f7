package layering

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
)

// mostAtoms is how many atoms the optimiser is given: its tables grow with
// their square. More paths than that are joined to atoms first.
const mostAtoms = 512

// coarsen joins paths that belong together until there are at most mostAtoms
// sets. It works in rounds: each cluster looks for the cheapest partner among
// its neighbours, those that it refers to or that refer to it, that have nearly
// the same closure or nearly the same probability of change; and the cheapest
// pairs are joined. What a pair costs is what it would cost as layers.
func (p *problem) coarsen(ctx context.Context, opt costOptions) ([][]int32, error) {
	c := p.newCoarsening(opt)
	for c.alive > mostAtoms {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.round() == 0 {
			c.most *= 2
		}
	}
	var sets [][]int32
	for i := range c.clusters {
		if cl := &c.clusters[i]; cl.paths != nil {
			sets = append(sets, cl.paths)
		}
	}
	return sets, nil
}

// cluster is a set of paths on the way to an atom.
type cluster struct {
	paths  []int32
	size   int64
	sketch []int32
	weight int64
	cost   int64
	choice
}

// choice is the cheapest partner of a cluster, and what joining with it costs.
type choice struct {
	best int32
	rise int64
}

// offer takes a partner that is cheaper, or as cheap and of a lower number.
func (c *choice) offer(partner int32, rise int64) {
	if rise < c.rise || rise == c.rise && partner < c.best {
		c.best, c.rise = partner, rise
	}
}

type coarsening struct {
	s        *sketches
	clusters []cluster
	edges    []edge // among clusters that are alive, each once, ascending
	alive    int
	most     int64
}

// edge is two clusters, the one of lower number in the upper half.
type edge uint64

func edgeOf(a, b int32) edge { return edge(min(a, b))<<32 | edge(max(a, b)) }

func (e edge) ends() (a, b int32) { return int32(e >> 32), int32(e & math.MaxUint32) }

func (p *problem) newCoarsening(opt costOptions) *coarsening {
	s, own := p.model.newSketches()
	closures := s.closures(p.g, own)
	// An atom should be small against a layer, so that layers can be balanced.
	const atomsInLayer = 4
	c := &coarsening{s: s, alive: len(p.free), most: opt.most / atomsInLayer}
	free := slices.Clone(p.free)
	slices.SortFunc(free, func(a, b int32) int { return cmp.Compare(p.g.shape[a], p.g.shape[b]) })
	place := make([]int32, p.g.Len())
	for i := range place {
		place[i] = -1
	}
	c.clusters = make([]cluster, len(free))
	for k, i := range free {
		place[i] = int32(k)
		cl := &c.clusters[k]
		*cl = cluster{paths: []int32{i}, size: p.g.sizes[i], sketch: closures[i], weight: s.weightOf(closures[i])}
		cl.cost = expected(cl.size, cl.weight)
	}
	for k, i := range free {
		for _, ref := range p.g.refs.of(i) {
			if to := place[ref]; to >= 0 {
				c.edges = append(c.edges, edgeOf(int32(k), to))
			}
		}
	}
	return c
}

// round joins up to a third of the clusters, the cheapest pairs first, and
// returns how many it joined.
func (c *coarsening) round() int {
	c.choose()
	var order []int32
	for i := range c.clusters {
		if c.clusters[i].best >= 0 {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(c.clusters[a].rise, c.clusters[b].rise), cmp.Compare(a, b))
	})
	wanted := min(c.alive-mostAtoms, max(1, c.alive/3))
	into := make([]int32, len(c.clusters))
	for i := range into {
		into[i] = int32(i)
	}
	joined := 0
	for _, a := range order {
		if joined == wanted {
			break
		}
		b := c.clusters[a].best
		if into[a] != a || into[b] != b || !c.stillCheap(a, b) {
			continue
		}
		a, b = min(a, b), max(a, b)
		c.join(a, b)
		into[b] = a
		joined++
	}
	c.alive -= joined
	c.rewire(into)
	return joined
}

// stillCheap tells whether joining a with its best partner costs about what
// it did at the beginning of the round. The partner may have been joined with
// others since: what everything depends on is the best partner of many.
func (c *coarsening) stillCheap(a, b int32) bool {
	x, y := &c.clusters[a], &c.clusters[b]
	if x.size+y.size > c.most {
		return false
	}
	rise := expected(x.size+y.size, c.s.jointWeight(x.sketch, y.sketch)) - x.cost - y.cost
	return rise <= x.rise+x.rise/4
}

// choose finds each cluster's cheapest partner. One goroutine looks along the
// edges while another looks at neighbours; of what both find the cheaper counts,
// whoever is first.
func (c *coarsening) choose() {
	near := make([]choice, len(c.clusters))
	linked := make([]choice, len(c.clusters))
	for i := range near {
		near[i], linked[i] = choice{-1, never}, choice{-1, never}
	}
	var wait sync.WaitGroup
	wait.Go(func() { c.tryNeighbours(near) })
	for _, e := range c.edges {
		a, b := e.ends()
		c.try(linked, a, b)
	}
	wait.Wait()
	for i := range c.clusters {
		if near[i].best >= 0 {
			linked[i].offer(near[i].best, near[i].rise)
		}
		c.clusters[i].choice = linked[i]
	}
}

// try sees whether a and b are the cheapest partners yet for each other.
func (c *coarsening) try(choices []choice, a, b int32) {
	x, y := &c.clusters[a], &c.clusters[b]
	size := x.size + y.size
	if size > c.most {
		return
	}
	forA, forB := &choices[a], &choices[b]
	// The union weighs at least as much as the heavier part.
	if floor := expected(size, max(x.weight, y.weight)) - x.cost - y.cost; floor > forA.rise && floor > forB.rise {
		return
	}
	rise := expected(size, c.s.jointWeight(x.sketch, y.sketch)) - x.cost - y.cost
	forA.offer(b, rise)
	forB.offer(a, rise)
}

// tryNeighbours tries pairs that need not refer to each other: next to each
// other by closure, and by weight.
func (c *coarsening) tryNeighbours(choices []choice) {
	var order []int32
	for i := range c.clusters {
		if c.clusters[i].paths != nil {
			order = append(order, int32(i))
		}
	}
	const reach = 3
	tryAll := func() {
		for k := range order {
			for _, b := range order[k+1 : min(k+1+reach, len(order))] {
				c.try(choices, order[k], b)
			}
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(slices.Compare(c.clusters[a].sketch, c.clusters[b].sketch), cmp.Compare(a, b))
	})
	tryAll()
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(c.clusters[a].weight, c.clusters[b].weight), cmp.Compare(a, b))
	})
	tryAll()
}

func (c *coarsening) join(a, b int32) {
	x, y := &c.clusters[a], &c.clusters[b]
	x.paths = append(x.paths, y.paths...)
	x.size += y.size
	x.sketch = union(make([]int32, 0, sketchSize+1), x.sketch, y.sketch)
	x.weight = c.s.weightOf(x.sketch)
	x.cost = expected(x.size, x.weight)
	*y = cluster{}
}

// rewire leads edges to what their ends were joined into. That has a lower number,
// and may have been joined itself.
func (c *coarsening) rewire(into []int32) {
	for i, to := range into {
		into[i] = into[to]
	}
	kept := c.edges[:0]
	for _, e := range c.edges {
		a, b := e.ends()
		if a, b = into[a], into[b]; a != b {
			kept = append(kept, edgeOf(a, b))
		}
	}
	slices.Sort(kept)
	c.edges = slices.Compact(kept)
}
