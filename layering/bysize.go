package layering

import "context"

// orBySize returns layers, or others where the rule of size-first makes cheaper ones.
// First those of the whole problem, nil if there are none yet: layers may have been
// made of a skeleton, to which references that go through tiny paths are none. That is
// seldom much; but where most go through them, as in a chain, it knows too little of
// the closure. Then those of the rule itself, improved.
func (p *problem) orBySize(ctx context.Context, layers, whole *partition) (*partition, error) {
	if len(p.free) == 0 {
		return layers, nil
	}
	sets, err := p.byRule(ctx, sizeFirst)
	if err != nil {
		return nil, err
	}
	bySize := p.model.costOf(sets)
	if whole == nil && layers.cost() > bySize+bySize/leastGain {
		if whole, err = p.divide(ctx); err != nil {
			return nil, err
		}
		if whole.cost() < layers.cost() {
			layers = whole
		}
	}
	if layers.cost() <= bySize || !p.fit(sets, layers.in.opt.most) {
		return layers, nil
	}
	better := layers.in.newPartition(layers.in.atomsOf(sets))
	if err := better.improve(ctx, refinePasses); err != nil {
		return nil, err
	}
	return better.stacked(ctx, 0)
}

// fit tells whether all sets are small enough for layers.
func (p *problem) fit(sets [][]int32, most int64) bool {
	sizes := p.g.sizesOf(sets)
	for k, set := range sets {
		var largest int64
		for _, i := range set {
			largest = max(largest, p.g.sizes[i])
		}
		if !fits(sizes[k], largest, most) {
			return false
		}
	}
	return true
}

// atomsOf returns sets of atoms that hold just the given sets of paths, of which each
// is an atom.
func (in *instance) atomsOf(sets [][]int32) [][]int32 {
	atom := make(map[int32]int32, len(in.atoms))
	for a := range in.atoms {
		atom[in.atoms[a].paths[0]] = int32(a)
	}
	out := make([][]int32, len(sets))
	for k, set := range sets {
		for _, i := range set {
			out[k] = append(out[k], atom[i])
		}
	}
	return out
}
