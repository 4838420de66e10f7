package layering

import (
	"context"
	"slices"
)

// rule divides all paths of a graph into at most budget sets.
type rule func(ctx context.Context, g *Graph, budget int) ([][]int32, error)

// onFreePaths makes a strategy of a rule that knows nothing of pins: it sees
// the closure without the pinned paths, as nixpkgs' rules see one without
// those that are excluded. Groups that are too small join others afterwards.
func onFreePaths(divide rule) strategy {
	return func(ctx context.Context, p *problem) ([]part, error) {
		if len(p.free) == 0 {
			return p.amongPinned(nil), ctx.Err()
		}
		sets, err := p.byRule(ctx, divide)
		if err != nil {
			return nil, err
		}
		return p.amongPinned(p.joinSmall(sets)), nil
	}
}

// byRule returns the sets that a rule makes of the free paths.
func (p *problem) byRule(ctx context.Context, divide rule) ([][]int32, error) {
	g := p.g
	some := len(p.free) < g.Len()
	if some {
		g = g.induced(p.free)
	}
	sets, err := divide(ctx, g, p.budget-len(p.pinned))
	if err != nil {
		return nil, err
	}
	if some {
		renumber(sets, p.free)
	}
	return sets, nil
}

// renumber makes members of sets what they are in as: of a part of a graph its paths are
// numbered by place, and in the whole otherwise.
func renumber(sets [][]int32, as []int32) {
	for _, set := range sets {
		for i, m := range set {
			set[i] = as[m]
		}
	}
}

// amongPinned puts each pinned part before the first of sets that is more
// likely to change. The sets keep the order that their rule gave them.
func (p *problem) amongPinned(sets [][]int32) []part {
	all := make([][]int32, 0, len(sets)+len(p.pinned))
	all = append(all, sets...)
	for _, pin := range p.pinned {
		all = append(all, pin.members)
	}
	weights := p.model.weightsOf(all)
	parts := make([]part, len(sets), len(all))
	at := make([]int64, len(sets), len(all))
	for i, set := range sets {
		parts[i], at[i] = part{members: set}, weights[i]
	}
	for i, pin := range p.pinned {
		w := weights[len(sets)+i]
		k := slices.IndexFunc(at, func(other int64) bool { return other > w })
		if k < 0 {
			k = len(at)
		}
		parts, at = slices.Insert(parts, k, pin), slices.Insert(at, k, w)
	}
	return parts
}

// joinSmall joins each set below the minimum size, the smallest first, with
// the one where that costs least.
func (p *problem) joinSmall(sets [][]int32) [][]int32 {
	if p.minSize == 0 {
		return sets
	}
	for len(sets) > 1 {
		sizes := p.g.sizesOf(sets)
		small := 0
		for i, size := range sizes {
			if size < sizes[small] {
				small = i
			}
		}
		if sizes[small] >= p.minSize {
			break
		}
		into := p.model.cheapestPartner(sets, sizes, small)
		sets[into] = append(sets[into], sets[small]...)
		sets = slices.Delete(sets, small, small+1)
	}
	return sets
}

func (g *Graph) sizesOf(sets [][]int32) []int64 {
	sizes := make([]int64, len(sets))
	for i, set := range sets {
		for _, m := range set {
			sizes[i] += g.sizes[m]
		}
	}
	return sizes
}

// induced returns the graph of some paths, ascending, with the references
// among them. It has no shape: rules do without.
func (g *Graph) induced(paths []int32) *Graph {
	place := make([]int32, g.Len())
	for i := range place {
		place[i] = -1
	}
	for i, p := range paths {
		place[p] = int32(i)
	}
	sub := &Graph{paths: make([]string, len(paths)), sizes: make([]int64, len(paths))}
	sub.refs.from = make([]int32, 1, len(paths)+1)
	for i, p := range paths {
		sub.paths[i], sub.sizes[i] = g.paths[p], g.sizes[p]
		sub.total += g.sizes[p]
		for _, ref := range g.refs.of(p) {
			if place[ref] >= 0 {
				sub.refs.to = append(sub.refs.to, place[ref])
			}
		}
		sub.refs.from = append(sub.refs.from, int32(len(sub.refs.to)))
	}
	sub.users = transpose(sub.refs)
	for _, p := range g.topo {
		if place[p] >= 0 {
			sub.topo = append(sub.topo, place[p])
		}
	}
	return sub
}
