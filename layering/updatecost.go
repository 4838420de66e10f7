package layering

import (
	"context"
)

// updateCost makes small what is expected to be pulled again.
func updateCost(ctx context.Context, p *problem) ([]part, error) {
	sets := make([][]int32, len(p.free))
	for i, m := range p.free {
		sets[i] = []int32{m}
	}
	opt := p.costOptions()
	in := p.model.newInstance(sets, opt)
	sets, err := in.divide(ctx, p.budget-len(p.pinned))
	if err != nil {
		return nil, err
	}
	return p.inOrder(ctx, p.joinSmall(sets), opt)
}

const (
	// defaultChainWeight is what a byte of the chain counts against one of the
	// pull. Most hosts pull layers by themselves; those that keep chains unpack
	// the rest, which costs about a tenth of fetching it. Between 0 and 1 it
	// moves little: where the order is free the chain is made small anyway.
	defaultChainWeight = 0.1

	// parallel is how many layers there should be at least, by bytes: docker
	// fetches 3 layers at a time, containerd 3 to 8, and packing has a worker
	// for each core.
	parallel = 8

	// smallestLimit is the size that layers may have in any case: below it
	// there is nothing to be won by fetching in parallel.
	smallestLimit = 32 << 20
)

func (p *problem) costOptions() costOptions {
	total := p.g.Size()
	// A budget of few layers has to make them large: up to twice the average.
	most := max(smallestLimit, total/parallel, 2*(total/int64(p.budget)))
	return costOptions{chain: defaultChainWeight, most: most}
}

// divide returns at most budget sets of paths that hold all of in's atoms.
func (in *instance) divide(ctx context.Context, budget int) ([][]int32, error) {
	alone := make([][]int32, len(in.atoms))
	for i := range alone {
		alone[i] = []int32{int32(i)}
	}
	p := in.newPartition(alone)
	if err := p.merge(ctx, budget); err != nil {
		return nil, err
	}
	if err := p.improve(ctx, budget); err != nil {
		return nil, err
	}
	if err := p.exchange(ctx, budget); err != nil {
		return nil, err
	}
	p.joinTiny()
	return p.stacked(ctx)
}

// stacked lets pull and chain decide together, and returns the sets of paths.
func (p *partition) stacked(ctx context.Context) ([][]int32, error) {
	// Moves that a new order makes worth while are few, and fewer each time.
	const rounds = 2
	var order []int
	for range rounds {
		s, err := newStack(ctx, p, order)
		if err != nil {
			return nil, err
		}
		moved, err := s.improve(ctx)
		if err != nil {
			return nil, err
		}
		if order = s.order; !moved {
			break
		}
	}
	sets := make([][]int32, len(order))
	for k, b := range order {
		for _, a := range p.bundles[b].atoms {
			sets[k] = append(sets[k], p.in.atoms[a].paths...)
		}
	}
	return sets, nil
}

// inOrder puts sets and pinned parts in the order of an image's layers.
func (p *problem) inOrder(ctx context.Context, sets [][]int32, opt costOptions) ([]part, error) {
	all := make([][]int32, 0, len(sets)+len(p.pinned))
	name := make(map[int32]string, len(p.pinned)) // by a member
	for _, pin := range p.pinned {
		all = append(all, pin.members)
		name[pin.members[0]] = pin.name
	}
	in := p.model.newInstance(append(all, sets...), opt)
	tiers := make([]tier, len(in.atoms))
	for i := range in.atoms {
		a := &in.atoms[i]
		tiers[i] = tier{size: a.size, events: a.events, weight: in.weightOf(a.events)}
	}
	order, err := in.orderTiers(ctx, tiers, nil)
	if err != nil {
		return nil, err
	}
	parts := make([]part, len(order))
	for i, at := range order {
		members := in.atoms[at].paths
		parts[i] = part{members: members}
		for _, m := range members {
			if n, ok := name[m]; ok {
				parts[i].name = n
			}
		}
	}
	return parts, nil
}
