package layering

import (
	"context"
	"math/bits"
)

// stack is a partition in the order of an image's layers, and what both
// measures together say of it: the pull, each layer by itself, plus
// opt.chain × the chain, each layer with all below it.
type stack struct {
	p      *partition
	order  []int   // place → bundle
	place  []int   // bundle → place
	prefix []int64 // place → weight of all events up to there
	words  int     // of a set of places
	covers []uint64

	lowest, without []int64 // scratch, see lookAt
}

// newStack orders the bundles of p, beginning with an order if there is one.
func newStack(ctx context.Context, p *partition, order []int) (*stack, error) {
	tiers := make([]tier, len(p.bundles))
	for i, b := range p.bundles {
		tiers[i] = tier{b.size, b.events, b.weight}
	}
	order, err := p.in.orderTiers(ctx, tiers, order)
	if err != nil {
		return nil, err
	}
	s := &stack{p: p, order: order, place: make([]int, len(order)), prefix: make([]int64, len(order))}
	for k, b := range order {
		s.place[b] = k
	}
	s.lowest, s.without = make([]int64, len(order)+1), make([]int64, len(order)+1)
	s.words = max(1, (len(order)+63)/64)
	s.covers = make([]uint64, s.words*p.in.words*64)
	for k, b := range order {
		for w, set := range p.bundles[b].events {
			for e := range eachBit(set) {
				setBit(s.coversOf(w*64+e), int32(k))
			}
		}
	}
	s.sumUp()
	return s, nil
}

// coversOf is the set of places with a layer that event e concerns.
func (s *stack) coversOf(e int) []uint64 { return s.covers[e*s.words : (e+1)*s.words] }

// sumUp computes the prefix weights.
func (s *stack) sumUp() {
	clear(s.prefix)
	for e, weight := range s.p.in.weight {
		if k := firstBit(s.coversOf(e), -1); k >= 0 {
			s.prefix[k] += weight
		}
	}
	for k := 1; k < len(s.prefix); k++ {
		s.prefix[k] += s.prefix[k-1]
	}
}

// firstBit returns the lowest place in the set other than one, or −1.
func firstBit(set []uint64, other int) int {
	for w, b := range set {
		if other >= 0 && other/64 == w {
			b &^= 1 << (other % 64)
		}
		if b != 0 {
			return w*64 + bits.TrailingZeros64(b)
		}
	}
	return -1
}

func (s *stack) weighed(chain int64) int64 { return int64(float64(chain) * s.p.in.opt.chain) }

// lookAt sums up the weights of the events of atom a by the lowest place with a layer
// that they concern: as it is, and without a. chainRise of a goes by these.
func (s *stack) lookAt(a int32) {
	in, p := s.p.in, s.p
	i := s.place[p.home[a]]
	home := p.bundles[p.home[a]]
	clear(s.lowest)
	clear(s.without)
	for w, set := range in.atoms[a].events {
		for b := range eachBit(set) {
			e := w*64 + b
			covers := s.coversOf(e)
			old := firstBit(covers, -1)
			now := old
			if old == i && home.count(in)[e] == 1 {
				if now = firstBit(covers, i); now < 0 {
					now = len(s.order)
				}
			}
			s.lowest[old] += in.weight[e]
			s.without[now] += in.weight[e]
		}
	}
}

// chainRise is what the chain costs more when atom a, which was looked at, moves to
// bundle `to`, or, if that is −1, when it is taken away.
func (s *stack) chainRise(a int32, to int) int64 {
	i, j := s.place[s.p.home[a]], len(s.order)
	if to >= 0 {
		j = s.place[to]
	}
	var above int64 // of the events that concern nothing below this place without a
	for _, weight := range s.without {
		above += weight
	}
	size := s.p.in.atoms[a].size
	var rise, shift int64
	for k := range s.order {
		shift -= s.lowest[k]
		old := s.p.bundles[s.order[k]].size
		now := old
		if k == i {
			now -= size
		}
		switch {
		case k < j:
			shift += s.without[k]
			above -= s.without[k]
		case k == j:
			shift += above
			now += size
		}
		if shift != 0 || now != old {
			rise += expected(now, s.prefix[k]+shift) - expected(old, s.prefix[k])
		}
	}
	return rise
}

// improve moves single atoms for as long as that makes the stack cheaper, and
// reports whether it did. A move has to gain more than least.
func (s *stack) improve(ctx context.Context, least int64) (bool, error) {
	// Moves pay less and less; two passes find nearly all there is.
	const passes = 2
	any := false
	for range passes {
		if err := ctx.Err(); err != nil {
			return any, err
		}
		moved := false
		for a := range int32(len(s.p.in.atoms)) {
			if to := s.betterHome(a, least); to >= 0 {
				s.move(a, to)
				moved = true
			}
		}
		any = any || moved
		if !moved {
			break
		}
	}
	return any, nil
}

// betterHome returns the bundle where atom a costs least, or −1 if it would
// not cost less there by more than least.
func (s *stack) betterHome(a int32, least int64) int {
	p, in := s.p, s.p.in
	from := p.bundles[p.home[a]]
	if len(from.atoms) == 1 {
		return -1 // to leave would free a layer, which the order does not expect
	}
	fall := from.fallWithout(in, a)
	size := in.atoms[a].size
	s.lookAt(a)
	// The chain falls at most by what it does without a, and never below what a
	// itself costs at the bottom; few targets have to be looked at closely.
	hope := -s.weighed(s.chainRise(a, -1))
	best, bestRise := -1, -least
	for k, b := range p.bundles {
		if k == p.home[a] || !fits(b.size+size, max(b.largest, size), in.opt.most) {
			continue
		}
		floor := s.weighed(expected(size, s.prefix[s.place[k]])) - hope - fall
		if floor+b.floor(size) >= bestRise {
			continue
		}
		pull := b.riseWith(in, a, bestRise-floor)
		if pull == never {
			continue
		}
		if rise := pull - fall + s.weighed(s.chainRise(a, k)); rise < bestRise {
			best, bestRise = k, rise
		}
	}
	return best
}

func (s *stack) move(a int32, to int) {
	p := s.p
	from := p.home[a]
	p.move(a, to)
	for w, set := range p.in.atoms[a].events {
		for b := range eachBit(set) {
			covers := s.coversOf(w*64 + b)
			setBit(covers, int32(s.place[to]))
			if !hasBit(p.bundles[from].events, int32(w*64+b)) {
				k := s.place[from]
				covers[k/64] &^= 1 << (k % 64)
			}
		}
	}
	s.sumUp()
}
