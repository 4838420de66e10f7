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

// orderTiers returns the order, bottom first, in which the chain is expected
// to cost least: the sum over all layers of size × the probability that it or
// any layer below it changes.
//
// It begins with the stable before the volatile and then moves single layers
// to where they cost least, until none is better elsewhere.
func (in *instance) orderTiers(ctx context.Context, tiers []tier) ([]int, error) {
	order := make([]int, len(tiers))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(tiers[a].weight, tiers[b].weight), cmp.Compare(tiers[b].size, tiers[a].size))
	})
	// Each pass that changes something lowers the sum; the bound is for the clock.
	const passes = 64
	for range passes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		changed := false
		for at := 0; at < len(order); at++ {
			to := in.bestPlace(tiers, order, at)
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

// bestPlace returns where in the order the tier that stands at `at` is best.
func (in *instance) bestPlace(tiers []tier, order []int, at int) int {
	moved := &tiers[order[at]]
	n := len(order)
	// Over the order without the moved tier: what the layers below place k
	// cost without it, and those from k on with it in front.
	without, with := make([]int64, n), make([]int64, n)
	own := make([]int64, n) // what it costs itself at place k
	below := make([]uint64, in.words)
	var weight int64
	for k, i := 0, 0; i <= n; i++ {
		if i == at {
			continue
		}
		extra := in.extraWeight(moved.events, below)
		own[k] = expected(moved.size, weight+extra)
		if i == n {
			break
		}
		t := &tiers[order[i]]
		weight += in.extraWeight(t.events, below)
		for w, b := range t.events {
			below[w] |= b
		}
		size := t.size
		without[k] = expected(size, weight)
		with[k] = expected(size, weight+in.extraWeight(moved.events, below))
		k++
	}
	var after int64
	for k := range n - 1 {
		after += with[k]
	}
	best, bestCost, here := -1, int64(0), int64(0)
	var before int64
	for k := range n {
		cost := before + own[k] + after
		if best < 0 || cost < bestCost {
			best, bestCost = k, cost
		}
		if k == at {
			here = cost
		}
		if k < n-1 {
			before += without[k]
			after -= with[k]
		}
	}
	if bestCost == here {
		return at
	}
	return best
}
