package layering

import "context"

// exchange takes bundles apart and joins others instead for as long as that
// makes the whole cheaper: the one kind of step that neither merging nor
// single moves can make.
func (p *partition) exchange(ctx context.Context, budget int) error {
	for range len(p.in.atoms) { // each step lowers the cost; the bound is for the clock
		if err := ctx.Err(); err != nil {
			return err
		}
		if !p.exchangeOnce(budget) {
			return nil
		}
		if err := p.improve(ctx, 0); err != nil {
			return err
		}
	}
	return nil
}

// exchangeOnce makes the split that saves most, and, if the budget demands
// it, the merge that costs least beside it. It reports whether that pays.
func (p *partition) exchangeOnce(budget int) bool {
	split, gain := p.bestSplit()
	if split == nil {
		return false
	}
	home := p.home[split[0]]
	if len(p.bundles) < budget {
		p.apply(split, -1, -1)
		return true
	}
	i, j, rise := p.cheapestMerge(home)
	if i < 0 || rise >= gain {
		return false
	}
	p.apply(split, i, j)
	return true
}

// bestSplit returns the atoms, all of one bundle, whose departure into a
// bundle of their own saves most. An atom may go alone, with what it depends
// on, or with what depends on it.
func (p *partition) bestSplit() (best []int32, gain int64) {
	for _, b := range p.bundles {
		if len(b.atoms) == 1 {
			continue
		}
		for _, a := range b.atoms {
			for _, with := range []func(x, y []uint64) bool{isSubset, isSuperset, nil} {
				out := p.company(b, a, with)
				if len(out) == len(b.atoms) || with != nil && len(out) == 1 {
					continue
				}
				if g := p.splitGain(b, out); g > gain {
					best, gain = out, g
				}
			}
		}
	}
	return best, gain
}

// company returns a and the atoms of b whose events stand in that relation to a's.
func (p *partition) company(b *bundle, a int32, with func(x, y []uint64) bool) []int32 {
	out := []int32{a}
	if with == nil {
		return out
	}
	for _, o := range b.atoms {
		if o != a && with(p.in.atoms[o].events, p.in.atoms[a].events) {
			out = append(out, o)
		}
	}
	return out
}

func isSubset(x, y []uint64) bool {
	for w := range x {
		if x[w]&^y[w] != 0 {
			return false
		}
	}
	return true
}

func isSuperset(x, y []uint64) bool { return isSubset(y, x) }

// splitGain is what is saved when out leaves b.
func (p *partition) splitGain(b *bundle, out []int32) int64 {
	leaves := make(map[int32]bool, len(out))
	for _, a := range out {
		leaves[a] = true
	}
	gone, stay := make([]uint64, p.in.words), make([]uint64, p.in.words)
	var size int64
	for _, a := range b.atoms {
		at := &p.in.atoms[a]
		set := stay
		if leaves[a] {
			set = gone
			size += at.size
		}
		for w, e := range at.events {
			set[w] |= e
		}
	}
	return b.cost - expected(size, p.in.weightOf(gone)) - expected(b.size-size, p.in.weightOf(stay))
}

// cheapestMerge returns the two bundles, not `except`, whose joining costs least.
func (p *partition) cheapestMerge(except int) (i, j int, rise int64) {
	i, rise = -1, never
	for x := range p.bundles {
		for y := range x {
			if x == except || y == except {
				continue
			}
			if r := p.joint(x, y, p.in.opt.most); r < rise {
				i, j, rise = x, y, r
			}
		}
	}
	return i, j, rise
}

// apply gives out a bundle of its own, and joins i and j unless they are −1.
func (p *partition) apply(out []int32, i, j int) {
	p.bundles = append(p.bundles, p.in.newBundle(nil))
	for _, a := range out {
		p.move(a, len(p.bundles)-1)
	}
	if i >= 0 {
		for len(p.bundles[i].atoms) > 0 {
			p.move(p.bundles[i].atoms[0], j)
		}
	}
	p.dropEmpty()
}
