package layering

import (
	"context"
)

// updateCost makes small what is expected to be pulled again. Tiny paths are
// left out at first, for the sake of stability.
func updateCost(ctx context.Context, p *problem) ([]part, error) {
	layers, err := p.layers(ctx)
	if err != nil {
		return nil, err
	}
	return p.inOrder(ctx, p.joinSmall(layers.sets()))
}

func (p *problem) layers(ctx context.Context) (*partition, error) {
	if len(p.free) > mostRefined { // a path more is little among so many
		return p.divide(ctx)
	}
	s := p.withoutTiny()
	if s == nil {
		layers, err := p.divide(ctx)
		if err != nil {
			return nil, err
		}
		return p.orBySize(ctx, layers, layers)
	}
	rough, err := s.divide(ctx)
	if err != nil {
		return nil, err
	}
	layers, err := p.complete(ctx, s, rough.sets())
	if err != nil {
		return nil, err
	}
	return p.orBySize(ctx, layers, nil)
}

// divide divides the free paths. Where there are more than the optimiser can
// take, they are joined to atoms first, and single paths are moved again afterwards.
func (p *problem) divide(ctx context.Context) (*partition, error) {
	opt := p.costOptions()
	atoms, err := p.atoms(ctx, opt)
	if err != nil {
		return nil, err
	}
	layers, err := p.model.newInstance(atoms, opt).divide(ctx, p.budget-len(p.pinned))
	switch n := len(p.free); {
	case err != nil || n <= mostAtoms:
	case n <= mostRefined:
		layers, err = p.refine(ctx, layers, opt)
	default:
		layers, err = p.refineMany(ctx, layers, opt)
	}
	if err != nil {
		return nil, err
	}
	layers.joinTiny()
	return layers.stacked(ctx, 0)
}

func (p *problem) atoms(ctx context.Context, opt costOptions) ([][]int32, error) {
	switch n := len(p.free); {
	case n <= mostAtoms:
		return alone(p.free), nil
	case n <= mostRefined:
		return p.coarsen(ctx, opt)
	}
	return p.apart(), nil
}

func alone(paths []int32) [][]int32 {
	sets := make([][]int32, len(paths))
	for i := range sets {
		sets[i] = paths[i : i+1 : i+1]
	}
	return sets
}

// mostRefined is how many paths there may be for their exact closures to be
// compared: sets of as many events, 8 MB in all.
const mostRefined = 8192

// refinePasses is how often refine goes over all paths: most closures need 10. In a
// long chain of equal paths only the ends of layers can move, and passes without an
// end gain a millionth each.
const refinePasses = 16

// refine makes the same layers of single paths, and improves them.
func (p *problem) refine(ctx context.Context, rough *partition, opt costOptions) (*partition, error) {
	in := p.model.newInstance(alone(p.free), opt)
	fine := in.newPartition(in.atomsOf(rough.sets()))
	return fine, fine.improve(ctx, refinePasses)
}

const (
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
	chain := p.chain
	if chain == 0 {
		chain = DefaultChainWeight
	}
	return costOptions{chain: chain, most: most}
}

// divide returns a partition of in's atoms into at most budget bundles.
func (in *instance) divide(ctx context.Context, budget int) (*partition, error) {
	p := in.newPartition(alone(in.numbers()))
	if err := p.merge(ctx, budget); err != nil {
		return nil, err
	}
	if err := p.improve(ctx, 0); err != nil {
		return nil, err
	}
	return p, p.exchange(ctx, budget)
}

// numbers returns the numbers of the atoms.
func (in *instance) numbers() []int32 {
	all := make([]int32, len(in.atoms))
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// stacked moves atoms until pull and chain together agree with where they are.
// A move has to gain more than least.
func (p *partition) stacked(ctx context.Context, least int64) (*partition, error) {
	// Moves that a new order makes worth while are few, and fewer each time.
	const rounds = 2
	var order []int
	for range rounds {
		s, err := newStack(ctx, p, order)
		if err != nil {
			return nil, err
		}
		moved, err := s.improve(ctx, least)
		if err != nil {
			return nil, err
		}
		if order = s.order; !moved {
			break
		}
	}
	return p, nil
}

// sets returns the paths of each bundle.
func (p *partition) sets() [][]int32 {
	sets := make([][]int32, len(p.bundles))
	for k, b := range p.bundles {
		for _, a := range b.atoms {
			sets[k] = append(sets[k], p.in.atoms[a].paths...)
		}
	}
	return sets
}

// inOrder puts sets and pinned parts in the order of an image's layers.
func (p *problem) inOrder(ctx context.Context, sets [][]int32) ([]part, error) {
	all := make([][]int32, 0, len(sets)+len(p.pinned))
	name := make(map[int32]string, len(p.pinned)) // by a member
	for _, pin := range p.pinned {
		all = append(all, pin.members)
		name[pin.members[0]] = pin.name
	}
	in := p.model.newInstance(append(all, sets...), p.costOptions())
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
