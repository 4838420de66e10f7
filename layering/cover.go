package layering

// cover is a division of single paths into layers, and which paths concern which
// layer: those that are in the closure of one of its paths. Closures of all single
// paths would take memory with the square of their number. What is needed of them is
// found by walks down from a path, which end where a layer is concerned already.
type cover struct {
	m      *model
	most   int64 // see costOptions
	layers []coverLayer
	home   []int32 // path → layer, −1 for none
	large  []int32 // paths that make a layer larger than most, alone or with a little more
	reach  reach   // bit k of a path: it concerns layer k
	hits   []int32 // source × layer: how many of its paths concern the layer
	seen   []int   // path → when it was last looked at, −1 for never
	clock  int
	offers *offers
	walk
}

// coverLayer is a layer of a cover.
type coverLayer struct {
	paths, stamp       int
	size, weight, cost int64
}

// newCover makes a layer of each of sets.
func (m *model) newCover(sets [][]int32, most int64) *cover {
	n := m.g.Len()
	c := &cover{m: m, most: most, layers: make([]coverLayer, len(sets)), home: make([]int32, n), seen: make([]int, n), reach: m.g.reachOf(sets), walk: m.newWalk()}
	for i := range n {
		c.home[i], c.seen[i] = -1, -1
	}
	sizes, weights := m.g.sizesOf(sets), m.weightsOf(sets)
	for k, set := range sets {
		c.layers[k] = coverLayer{paths: len(set), size: sizes[k], weight: weights[k], cost: expected(sizes[k], weights[k])}
		for _, i := range set {
			c.home[i] = int32(k)
			if size := m.g.sizes[i]; !fits(size+size/8, 0, most) {
				c.large = append(c.large, i)
			}
		}
	}
	c.offers = newOffers(n, len(m.shared), len(sets), c.reach.words)
	c.hits = make([]int32, len(m.shared)*len(sets))
	for i, s := range m.source {
		if s < 0 {
			continue
		}
		for w, b := range c.reach.of(int32(i)) {
			for k := range eachBit(b) {
				*c.hitsOf(s, int32(w*64+k))++
			}
		}
	}
	return c
}

func (c *cover) hitsOf(source, layer int32) *int32 {
	return &c.hits[int(source)*len(c.layers)+int(layer)]
}

// pass moves single paths, in the given order, to where they cost less, and reports
// whether it did. It ends early when searches have taken mostSteps.
func (c *cover) pass(paths []int32) bool {
	before := c.clock
	for _, a := range paths {
		if c.steps > mostSteps {
			break
		}
		if to := c.betterHome(a, c.seen[a]); to >= 0 {
			c.move(a, to)
		}
		c.seen[a] = c.clock
	}
	return c.clock > before
}

func (c *cover) cost() int64 {
	var sum int64
	for k := range c.layers {
		sum += c.layers[k].cost
	}
	return sum
}

// betterHome returns the layer where path a costs least, or −1 if that is the
// one it is in. Layers that have not changed since then are no better than they were.
func (c *cover) betterHome(a int32, since int) int32 {
	home := c.home[a]
	if c.layers[home].paths == 1 {
		return -1 // two layers are never dearer than one of both
	}
	all := c.layers[home].stamp > since || since < 0
	fall := int64(-1)
	o := c.offers
	clear(o.open)
	size := c.m.g.sizes[a]
	for k := range int32(len(c.layers)) {
		b := &c.layers[k]
		if k == home || b.paths == 0 || !all && b.stamp <= since || !c.fits(a, k) {
			continue
		}
		if fall < 0 {
			fall = c.fallWithout(a)
		}
		if expected(b.size+size, b.weight)-b.cost < fall {
			setBit(o.open, k)
			o.extra[k], o.most[k] = 0, weightBelow(fall+b.cost, b.size+size)-b.weight
		}
	}
	c.weigh(a)
	best := int32(-1)
	for w, open := range o.open {
		for bit := range eachBit(open) {
			k := int32(w*64 + bit)
			b := &c.layers[k]
			if rise := expected(b.size+size, b.weight+o.extra[k]) - b.cost; rise < fall {
				best, fall = k, rise
			}
		}
	}
	return best
}

// fits tells whether layer k is small enough with path a.
func (c *cover) fits(a, k int32) bool {
	size := c.m.g.sizes[a]
	whole, largest := c.layers[k].size+size, size
	if fits(whole, largest, c.most) {
		return true
	}
	for _, i := range c.large {
		if c.home[i] == k {
			largest = max(largest, c.m.g.sizes[i])
		}
	}
	return fits(whole, largest, c.most)
}

// fallWithout is what the layer of path a costs less without it.
func (c *cover) fallWithout(a int32) int64 {
	b := &c.layers[c.home[a]]
	return b.cost - expected(b.size-c.m.g.sizes[a], b.weight-c.onlyBy(a))
}

func (c *cover) move(a, to int32) {
	c.clock++
	size, from := c.m.g.sizes[a], c.home[a]
	c.layers[from].change(-1, -size, -c.onlyBy(a), c.clock)
	for _, i := range c.found {
		c.reach.of(i)[from/64] &^= 1 << (from % 64)
		if s := c.m.source[i]; s >= 0 {
			*c.hitsOf(s, from)--
		}
	}
	c.layers[to].change(1, size, c.extraWeight(a, to), c.clock)
	for _, i := range c.found {
		setBit(c.reach.of(i), to)
		if s := c.m.source[i]; s >= 0 {
			*c.hitsOf(s, to)++
		}
	}
	c.home[a] = to
}

func (b *coverLayer) change(paths int, size, weight int64, clock int) {
	b.paths += paths
	b.size += size
	b.weight += weight
	b.stamp, b.cost = clock, expected(b.size, b.weight)
}

// sets returns the paths of each layer that has some.
func (c *cover) sets() [][]int32 {
	all := make([][]int32, len(c.layers))
	for i, k := range c.home {
		if k >= 0 {
			all[k] = append(all[k], int32(i))
		}
	}
	kept := all[:0]
	for _, set := range all {
		if len(set) > 0 {
			kept = append(kept, set)
		}
	}
	return kept
}
