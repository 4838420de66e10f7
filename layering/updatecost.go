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

// Defaults of what a layer costs.
const (
	layerOverhead = 16 << 10
)

func (p *problem) costOptions() costOptions {
	return costOptions{overhead: layerOverhead, most: 1 << 62}
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
	sets := make([][]int32, len(p.bundles))
	for i, b := range p.bundles {
		for _, a := range b.atoms {
			sets[i] = append(sets[i], in.atoms[a].paths...)
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
	order, err := in.orderTiers(ctx, tiers)
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
