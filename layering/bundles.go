package layering

import "slices"

// bundle is a layer under way.
type bundle struct {
	atoms   []int32
	size    int64
	largest int64 // size of the largest atom
	events  []uint64
	counts  []uint16 // of each event: how many atoms it concerns; nil until that matters
	weight  int64
	cost    int64
	stamp   int // when it last changed
}

// partition is a division of the atoms of an instance into bundles.
type partition struct {
	in      *instance
	bundles []*bundle
	home    []int // atom → bundle
	clock   int
}

// newPartition makes a bundle of each set of atoms.
func (in *instance) newPartition(sets [][]int32) *partition {
	p := &partition{in: in, home: make([]int, len(in.atoms))}
	for i, set := range sets {
		b := in.newBundle(set)
		p.bundles = append(p.bundles, b)
		for _, a := range set {
			p.home[a] = i
		}
	}
	return p
}

func (in *instance) newBundle(atoms []int32) *bundle {
	b := &bundle{events: make([]uint64, in.words)}
	for _, a := range atoms {
		b.add(in, a)
	}
	return b
}

func (b *bundle) add(in *instance, a int32) {
	at := &in.atoms[a]
	b.weight += in.extraWeight(at.events, b.events)
	b.size += at.size
	b.largest = max(b.largest, at.size)
	b.atoms = append(b.atoms, a)
	for w, set := range at.events {
		b.events[w] |= set
	}
	if b.counts != nil {
		b.tally(at.events)
	}
	b.cost = expected(b.size, b.weight)
}

func (b *bundle) tally(events []uint64) {
	for w, set := range events {
		for k := range eachBit(set) {
			b.counts[w*64+k]++
		}
	}
}

// count returns counts. While bundles are merged there are many, and it does not matter.
func (b *bundle) count(in *instance) []uint16 {
	if b.counts == nil {
		b.counts = make([]uint16, in.words*64)
		for _, a := range b.atoms {
			b.tally(in.atoms[a].events)
		}
	}
	return b.counts
}

func (b *bundle) remove(in *instance, a int32) {
	at := &in.atoms[a]
	count := b.count(in)
	b.weight -= b.onlyBy(in, a)
	b.size -= at.size
	b.atoms = slices.DeleteFunc(b.atoms, func(o int32) bool { return o == a })
	b.largest = 0
	for _, o := range b.atoms {
		b.largest = max(b.largest, in.atoms[o].size)
	}
	for w, set := range at.events {
		for k := range eachBit(set) {
			if count[w*64+k]--; count[w*64+k] == 0 {
				b.events[w] &^= 1 << k
			}
		}
	}
	b.cost = expected(b.size, b.weight)
}

// onlyBy is the weight of the events that concern a and nothing else in b.
func (b *bundle) onlyBy(in *instance, a int32) int64 {
	var sum int64
	count := b.count(in)
	for w, set := range in.atoms[a].events {
		for k := range eachBit(set) {
			if count[w*64+k] == 1 {
				sum += in.weight[w*64+k]
			}
		}
	}
	return sum
}

// floor is the least that b costs more with an atom of that size: as if it
// depended on nothing new.
func (b *bundle) floor(size int64) int64 { return expected(b.size+size, b.weight) - b.cost }

// riseWith is what b costs more with atom a, or never if that is not below limit.
func (b *bundle) riseWith(in *instance, a int32, limit int64) int64 {
	at := &in.atoms[a]
	size := b.size + at.size
	most := weightBelow(limit+b.cost, size)
	weight := b.weight
	for w, set := range at.events {
		if set &^= b.events[w]; set != 0 {
			if weight += in.wordWeight(w, set); weight > most {
				return never
			}
		}
	}
	if rise := expected(size, weight) - b.cost; rise < limit {
		return rise
	}
	return never
}

// fallWithout is what b costs less without atom a, which it has.
func (b *bundle) fallWithout(in *instance, a int32) int64 {
	if len(b.atoms) == 1 {
		return b.cost
	}
	return b.cost - expected(b.size-in.atoms[a].size, b.weight-b.onlyBy(in, a))
}

func (p *partition) move(a int32, to int) {
	p.clock++
	from := p.bundles[p.home[a]]
	from.remove(p.in, a)
	p.bundles[to].add(p.in, a)
	from.stamp, p.bundles[to].stamp = p.clock, p.clock
	p.home[a] = to
}

// dropEmpty removes bundles without atoms.
func (p *partition) dropEmpty() {
	kept := p.bundles[:0]
	for _, b := range p.bundles {
		if len(b.atoms) == 0 {
			continue
		}
		for _, a := range b.atoms {
			p.home[a] = len(kept)
		}
		kept = append(kept, b)
	}
	p.bundles = kept
}

// joint is what bundles i and j cost more as one; never if that is too large.
func (p *partition) joint(i, j int, most int64) int64 {
	a, b := p.bundles[i], p.bundles[j]
	if !fits(a.size+b.size, max(a.largest, b.largest), most) {
		return never
	}
	return expected(a.size+b.size, p.in.jointWeight(a, b)) - a.cost - b.cost
}

// jointWeight is the weight of the events that concern a or b. To what the heavier has
// there is less to add.
func (in *instance) jointWeight(a, b *bundle) int64 {
	if a.weight < b.weight {
		a, b = b, a
	}
	return a.weight + in.extraWeight(b.events, a.events)
}

func (p *partition) cost() int64 {
	var sum int64
	for _, b := range p.bundles {
		sum += b.cost
	}
	return sum
}

// fits tells whether a layer of that size is small enough. One that is large
// because of a single path may take a little with it: that path decides how
// long everything takes.
func fits(size, largest, most int64) bool { return size <= max(most, largest+largest/8) }
