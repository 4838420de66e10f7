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
	return c.sets(), nil
}

// A cluster is a set of paths on the way to an atom. One that was joined to another has
// no sketch.
type cluster struct {
	sketch      sketch
	size        int64
	weight      int64
	cost        int64
	first, last int32 // of its paths, as a list
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
	choices  []choice // of each cluster
	next     []int32  // of each path, the one behind it in the list of its cluster
	edges    []edge   // among clusters that are alive, each once, ascending
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
	free := p.freeByShape()
	c := &coarsening{
		s: s, alive: len(free), most: opt.most / atomsInLayer,
		clusters: make([]cluster, len(free)), choices: make([]choice, len(free)), next: make([]int32, p.g.Len()),
	}
	place := make([]int32, p.g.Len())
	for i := range place {
		place[i], c.next[i] = -1, -1
	}
	var buf [sketchSize + 1]int32
	for k, i := range free {
		place[i] = int32(k)
		cl := cluster{sketch: closures[i], size: p.g.sizes[i], weight: s.weightOf(closures[i].events(&buf)), first: i, last: i}
		cl.cost = expected(cl.size, cl.weight)
		c.clusters[k] = cl
	}
	c.edges = make([]edge, 0, len(p.g.refs.to))
	for k, i := range free {
		for _, ref := range p.g.refs.of(i) {
			if to := place[ref]; to >= 0 {
				c.edges = append(c.edges, edgeOf(int32(k), to))
			}
		}
	}
	slices.Sort(c.edges)
	return c
}

// sets returns the paths of the clusters that are left.
func (c *coarsening) sets() (sets [][]int32) {
	for i := range c.clusters {
		cl := &c.clusters[i]
		if cl.sketch == "" {
			continue
		}
		var set []int32
		for path := cl.first; path >= 0; path = c.next[path] {
			set = append(set, path)
		}
		sets = append(sets, set)
	}
	return sets
}

// round joins up to a third of the clusters, the cheapest pairs first, and
// returns how many it joined.
func (c *coarsening) round() int {
	c.choose()
	var order []int32
	for i := range c.choices {
		if c.choices[i].best >= 0 {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(c.choices[a].rise, c.choices[b].rise), cmp.Compare(a, b))
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
		b := c.choices[a].best
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
	var buf [sketchSize + 1]int32
	rise := expected(x.size+y.size, c.s.jointWeight(x.sketch.events(&buf), y.sketch)) - x.cost - y.cost
	before := c.choices[a].rise
	return rise <= before+before/4
}

// choose finds each cluster's cheapest partner. One goroutine looks along the
// edges while another looks at neighbours; of what both find the cheaper counts,
// whoever is first.
func (c *coarsening) choose() {
	near := make([]choice, len(c.clusters))
	for i := range near {
		near[i], c.choices[i] = choice{-1, never}, choice{-1, never}
	}
	var wait sync.WaitGroup
	wait.Go(func() { c.tryNeighbours(near) })
	linked := trial{c: c, choices: c.choices}
	for _, e := range c.edges {
		linked.try(e.ends())
	}
	wait.Wait()
	for i := range near {
		if near[i].best >= 0 {
			c.choices[i].offer(near[i].best, near[i].rise)
		}
	}
}

// A trial tries pairs of clusters.
type trial struct {
	c       *coarsening
	choices []choice
	first   sketch // of the pair before, which often is that of the next
	buf     [sketchSize + 1]int32
	events  []int32 // of first
}

// try sees whether a and b are the cheapest partners yet for each other.
func (t *trial) try(a, b int32) {
	x, y := &t.c.clusters[a], &t.c.clusters[b]
	size := x.size + y.size
	if size > t.c.most {
		return
	}
	forA, forB := &t.choices[a], &t.choices[b]
	// The union weighs at least as much as the heavier part.
	if floor := expected(size, max(x.weight, y.weight)) - x.cost - y.cost; floor > forA.rise && floor > forB.rise {
		return
	}
	if t.first != x.sketch {
		t.first, t.events = x.sketch, x.sketch.events(&t.buf)
	}
	rise := expected(size, t.c.s.jointWeight(t.events, y.sketch)) - x.cost - y.cost
	forA.offer(b, rise)
	forB.offer(a, rise)
}

// tryNeighbours tries pairs that need not refer to each other: next to each
// other by closure, and by weight.
func (c *coarsening) tryNeighbours(choices []choice) {
	var order []int32
	for i := range c.clusters {
		if c.clusters[i].sketch != "" {
			order = append(order, int32(i))
		}
	}
	const reach = 3
	t := trial{c: c, choices: choices}
	tryAll := func() {
		for k := range order {
			for _, b := range order[k+1 : min(k+1+reach, len(order))] {
				t.try(order[k], b)
			}
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(c.clusters[a].sketch, c.clusters[b].sketch), cmp.Compare(a, b))
	})
	tryAll()
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(c.clusters[a].weight, c.clusters[b].weight), cmp.Compare(a, b))
	})
	tryAll()
}

func (c *coarsening) join(a, b int32) {
	x, y := &c.clusters[a], &c.clusters[b]
	c.next[x.last], x.last = y.first, y.last
	x.size += y.size
	var buf, of, with [sketchSize + 1]int32
	events := union(buf[:0], x.sketch.events(&of), y.sketch.events(&with))
	var packed [5 * (sketchSize + 1)]byte
	x.sketch = sketch(appendSketch(packed[:0], events))
	x.weight = c.s.weightOf(events)
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
