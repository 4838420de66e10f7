package layering

import (
	"cmp"
	"context"
	"slices"
)

// tier is a layer whose place in the image is to be found.
type tier struct {
	size   int64
	events []uint64
	weight int64
}

// orderTiers improves an order, bottom first, so that the chain is expected to
// cost less: the sum over all layers of size × the probability that it or any
// layer below it changes. It moves single layers to where they cost least,
// until none is better elsewhere. Without an order it begins with the stable
// before the volatile.
func (in *instance) orderTiers(ctx context.Context, tiers []tier, order []int) ([]int, error) {
	if order == nil {
		order = make([]int, len(tiers))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(tiers[a].weight, tiers[b].weight), cmp.Compare(tiers[b].size, tiers[a].size))
		})
	}
	// Each pass that changes something lowers the sum; the bound is for the clock.
	const passes = 64
	p := in.newPlacer(len(tiers))
	for range passes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		changed := false
		for at := 0; at < len(order); at++ {
			to := p.bestPlace(tiers, order, at)
			if to == at {
				continue
			}
			t := order[at]
			order = slices.Insert(slices.Delete(order, at, at+1), to, t)
			changed = true
			if to > at {
				at-- // another one stands here now
			}
		}
		if !changed {
			break
		}
	}
	return order, nil
}

// placer finds places for tiers; its slices are scratch.
type placer struct {
	in      *instance
	below   []uint64 // events up to a place
	left    []uint64 // events of the moved tier that are not among those
	without []int64  // cost of what stands at each place
	with    []int64  // the same with the moved tier below it
	own     []int64  // cost of the moved tier itself at each place
}

func (in *instance) newPlacer(n int) *placer {
	return &placer{in, make([]uint64, in.words), make([]uint64, in.words), make([]int64, n), make([]int64, n), make([]int64, n)}
}

// bestPlace returns where in the order the tier that stands at `at` is best.
func (p *placer) bestPlace(tiers []tier, order []int, at int) int {
	p.weigh(tiers, order, at)
	n := len(order)
	var after int64
	for k := range n - 1 {
		after += p.with[k]
	}
	best, bestCost, here := -1, int64(0), int64(0)
	var before int64
	for k := range n {
		cost := before + p.own[k] + after
		if best < 0 || cost < bestCost {
			best, bestCost = k, cost
		}
		if k == at {
			here = cost
		}
		if k < n-1 {
			before += p.without[k]
			after -= p.with[k]
		}
	}
	if bestCost == here {
		return at
	}
	return best
}

// weigh fills in what everything costs over the order without the moved tier.
func (p *placer) weigh(tiers []tier, order []int, at int) {
	moved := &tiers[order[at]]
	clear(p.below)
	copy(p.left, moved.events)
	weight, extra := int64(0), moved.weight
	k := 0
	for i, t := range order {
		if i == at {
			continue
		}
		p.own[k] = expected(moved.size, weight+extra)
		tier := &tiers[t]
		var common uint64
		for w, b := range tier.events {
			if fresh := b &^ p.below[w]; fresh != 0 {
				weight += p.in.wordWeight(w, fresh)
				p.below[w] |= b
				common |= p.left[w] & b
			}
		}
		p.without[k] = expected(tier.size, weight)
		if common != 0 {
			extra = 0
			for w := range p.left {
				p.left[w] &^= p.below[w]
				extra += p.in.wordWeight(w, p.left[w])
			}
		}
		p.with[k] = p.without[k]
		if extra != 0 {
			p.with[k] = expected(tier.size, weight+extra)
		}
		k++
	}
	p.own[k] = expected(moved.size, weight+extra)
}
