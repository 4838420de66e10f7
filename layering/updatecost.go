package layering

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// updateCost makes small what is expected to be pulled again: the sum over
// the layers of size × probability of change. It begins with a layer for each
// path and joins, again and again, the two whose union costs least.
func updateCost(ctx context.Context, p *problem) ([]part, error) {
	clusters := p.singles()
	for len(clusters)+len(p.pinned) > p.budget {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		clusters = p.joinCheapest(clusters)
	}
	sets := make([][]int32, len(clusters))
	for i, c := range clusters {
		sets[i] = c.members
	}
	sets = p.joinSmall(sets)
	return p.byChange(sets), nil
}

// cluster is a set of paths and what the model needs to know of it.
type cluster struct {
	members []int32
	size    float64
	closure []uint64
	cost    float64
	partner int // the best one to join with, and what that costs
	rise    float64
}

func (p *problem) singles() []*cluster {
	words := (p.g.Len() + 63) / 64
	closures := make([]uint64, words*p.g.Len())
	row := func(i int32) []uint64 { return closures[int(i)*words : (int(i)+1)*words] }
	for _, i := range p.g.topo {
		setBit(row(i), i)
		for _, ref := range p.g.refs.of(i) {
			for w, b := range row(ref) {
				row(i)[w] |= b
			}
		}
	}
	order := slices.Clone(p.free)
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(p.g.shape[a], p.g.shape[b]) })
	clusters := make([]*cluster, len(order))
	for i, m := range order {
		c := &cluster{members: []int32{m}, size: float64(p.g.sizes[m]), closure: slices.Clone(row(m))}
		c.cost = c.size * changeProbability(p.model.setWeight(c.closure))
		clusters[i] = c
	}
	for i := range clusters {
		p.findPartner(clusters, i)
	}
	return clusters
}

// findPartner looks for the best partner among the clusters after i.
func (p *problem) findPartner(clusters []*cluster, i int) {
	c := clusters[i]
	c.partner, c.rise = -1, math.Inf(1)
	union := make([]uint64, len(c.closure))
	for k := i + 1; k < len(clusters); k++ {
		o := clusters[k]
		for w := range union {
			union[w] = c.closure[w] | o.closure[w]
		}
		rise := (c.size+o.size)*changeProbability(p.model.setWeight(union)) - c.cost - o.cost
		if rise < c.rise {
			c.partner, c.rise = k, rise
		}
	}
}

func (p *problem) joinCheapest(clusters []*cluster) []*cluster {
	best := 0
	for i, c := range clusters {
		if c.rise < clusters[best].rise {
			best = i
		}
	}
	c := clusters[best]
	gone := c.partner
	o := clusters[gone]
	c.members = append(c.members, o.members...)
	c.cost += o.cost + c.rise
	c.size += o.size
	for w, b := range o.closure {
		c.closure[w] |= b
	}
	clusters = slices.Delete(clusters, gone, gone+1)
	for i, c := range clusters {
		switch {
		case i == best, c.partner == gone, c.partner == best:
			p.findPartner(clusters, i)
			continue
		case c.partner > gone:
			c.partner--
		}
		if i < best {
			p.tryPartner(clusters, i, best)
		}
	}
	return clusters
}

// tryPartner sees whether clusters[k], which has changed, is better for
// clusters[i] than the partner it has.
func (p *problem) tryPartner(clusters []*cluster, i, k int) {
	c, o := clusters[i], clusters[k]
	union := slices.Clone(c.closure)
	for w, b := range o.closure {
		union[w] |= b
	}
	rise := (c.size+o.size)*changeProbability(p.model.setWeight(union)) - c.cost - o.cost
	if rise < c.rise {
		c.partner, c.rise = k, rise
	}
}

// byChange orders all parts by the probability that they change, then by size
// and by their first paths.
func (p *problem) byChange(sets [][]int32) []part {
	parts := make([]part, 0, len(sets)+len(p.pinned))
	for _, set := range sets {
		slices.Sort(set)
		parts = append(parts, part{members: set})
	}
	parts = append(parts, p.pinned...)
	all := make([][]int32, len(parts))
	for i := range parts {
		all[i] = parts[i].members
	}
	weights, sizes := p.model.closureWeights(all), p.g.sizesOf(all)
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(weights[a], weights[b]), cmp.Compare(sizes[a], sizes[b]), cmp.Compare(all[a][0], all[b][0]))
	})
	sorted := make([]part, len(parts))
	for i, at := range order {
		sorted[i] = parts[at]
	}
	return sorted
}
