package layering

import (
	"cmp"
	"context"
	"slices"
)

const (
	// tinySize is the size below which a path may be tiny: ten of them cost
	// less to fetch than asking for a layer does (see layerOverhead).
	tinySize = 24 << 10

	// A path is tiny only below this part of an average layer, and as long as
	// all tiny paths together are less than this part of the closure: what
	// they do to the cost is then lost in what the model does not know.
	tinyShareOfLayer, tinyShareOfAll = 16, 32

	// leastGain is the part of the whole cost that the move of a path has to
	// gain once tiny paths are in their places. Below it a plan stays what it
	// was without them.
	leastGain = 200
)

// skeleton is a problem without its tiny paths. Not for their few bytes: every
// path has a say in what is best for all others, and one more in a closure of
// a few hundred would turn a fifth of the layers upside down. So the large
// ones are divided first as if there were no others, and a tiny path that
// comes or goes does not change that.
type skeleton struct {
	*problem
	from []int32 // its paths, as numbered in the whole problem
	tiny []int32 // the paths that are left out
}

// withoutTiny returns the skeleton of p; nil if nothing of p is tiny, or all.
func (p *problem) withoutTiny() *skeleton {
	limit := p.tinyBelow()
	s := &skeleton{problem: &problem{budget: p.budget, chain: p.chain}}
	isTiny := make([]bool, p.g.Len())
	for _, i := range p.free {
		if p.g.sizes[i] < limit {
			isTiny[i] = true
			s.tiny = append(s.tiny, i)
		}
	}
	if len(s.tiny) == 0 || len(s.tiny) == len(p.free) {
		return nil
	}
	place := make([]int32, p.g.Len())
	for i, tiny := range isTiny {
		if !tiny {
			place[i] = int32(len(s.from))
			s.from = append(s.from, int32(i))
		}
	}
	for _, i := range p.free {
		if !isTiny[i] {
			s.free = append(s.free, place[i])
		}
	}
	for _, pin := range p.pinned {
		members := make([]int32, len(pin.members))
		for k, m := range pin.members {
			members[k] = place[m]
		}
		s.pinned = append(s.pinned, part{name: pin.name, members: members})
	}
	s.g = p.g.induced(s.from)
	s.g.shape = s.g.rankByShape()
	s.model = newModel(s.g, p.model.rates)
	return s
}

// tinyBelow returns the size below which free paths are tiny. It goes down in
// steps of two, so that a path more or less seldom changes it.
func (p *problem) tinyBelow() int64 {
	total := p.g.Size()
	for limit := int64(tinySize); limit > 1; limit /= 2 {
		if limit > total/(tinyShareOfLayer*int64(p.budget)) {
			continue
		}
		var sum int64
		for _, i := range p.free {
			if p.g.sizes[i] < limit {
				sum += p.g.sizes[i]
			}
		}
		if sum <= total/tinyShareOfAll {
			return limit
		}
	}
	return 0
}

// complete returns the layers of a skeleton, which are sets, with the tiny paths of
// p added. Now that all is known paths still move, but only where that gains much.
// It does not leave sets as they are.
func (p *problem) complete(ctx context.Context, s *skeleton, sets [][]int32) (*partition, error) {
	in := p.model.newInstance(alone(p.free), p.costOptions())
	renumber(sets, s.from)
	atoms := in.atomsOf(append(sets, s.tiny))
	layers := in.newPartition(atoms[:len(sets)])
	layers.attach(atoms[len(sets)], p.budget-len(p.pinned))
	return layers.stacked(ctx, layers.cost()/leastGain)
}

// attach adds atoms that are in no bundle yet. Each goes where it costs least
// among the bundles as they are before, so that it does not matter to one
// where the others go. Those that make any bundle noticeably dearer get one of
// their own while the budget has some to spare, the worst first.
func (p *partition) attach(atoms []int32, budget int) {
	type place struct {
		atom   int32
		saving int64 // of a bundle of its own
	}
	places := make([]place, len(atoms))
	for k, a := range atoms {
		_, rise := p.cheapestHome(a)
		at := &p.in.atoms[a]
		places[k] = place{a, rise - expected(at.size, p.in.weightOf(at.events))}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(b.saving, a.saving), cmp.Compare(a.atom, b.atom))
	})
	worthwhile := p.cost() / tinyShare
	for len(places) > 0 && len(p.bundles) < budget && places[0].saving > worthwhile {
		a := places[0].atom
		p.home[a] = len(p.bundles)
		p.bundles = append(p.bundles, p.in.newBundle([]int32{a}))
		places = places[1:]
	}
	for _, at := range places {
		p.home[at.atom], _ = p.cheapestHome(at.atom)
	}
	for _, at := range places {
		p.bundles[p.home[at.atom]].add(p.in, at.atom)
	}
}

// cheapestHome returns the bundle that atom a makes dearer by least, and by how much.
func (p *partition) cheapestHome(a int32) (home int, rise int64) {
	home, rise = 0, never/2
	for k, b := range p.bundles {
		if r := b.riseWith(p.in, a, rise); r != never {
			home, rise = k, r
		}
	}
	return home, rise
}
