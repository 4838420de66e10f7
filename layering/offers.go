package layering

import "math/bits"

// offers are the layers that a path may move to. What it adds to the events of
// each is summed up in one walk for all: most of them lack the same things.
type offers struct {
	open  []uint64 // the layers that are worth it yet
	extra []int64  // layer → weight of events that the walk has found
	most  []int64  // layer → what extra must not exceed
	queue []int32
	masks []uint64 // for each of queue, the layers that it is new to
	new   []uint64 // scratch
	seen  masked   // path → layers that it is new to
	event masked   // source → layers that it is new to
}

// masked has a set of layers for each of many things, all empty at first.
type masked struct {
	words int
	round int32
	mark  []int32 // the round that a set is of
	sets  []uint64
}

func newMasked(n, words int) masked {
	return masked{words: words, mark: make([]int32, n), sets: make([]uint64, n*words)}
}

func (m *masked) of(i int32) []uint64 {
	set := m.sets[int(i)*m.words : (int(i)+1)*m.words]
	if m.mark[i] != m.round {
		m.mark[i] = m.round
		clear(set)
	}
	return set
}

func newOffers(paths, sources, layers, words int) *offers {
	return &offers{
		open: make([]uint64, words), extra: make([]int64, layers), most: make([]int64, layers),
		new: make([]uint64, words), seen: newMasked(paths, words), event: newMasked(sources, words),
	}
}

// weigh walks down from path a, and closes layers for which it turns out to weigh
// more than it may.
func (c *cover) weigh(a int32) {
	o := c.offers
	o.seen.round++
	o.event.round++
	o.queue, o.masks = o.queue[:0], o.masks[:0]
	c.visit(a, o.open)
	for at := 0; at < len(o.queue); at++ {
		i, mask := o.queue[at], o.masks[at*len(o.open):(at+1)*len(o.open)]
		if c.weighPath(i, mask) {
			refs := c.m.g.refs.of(i)
			c.steps += len(refs) * len(mask)
			for _, ref := range refs {
				c.visit(ref, mask)
			}
		}
	}
}

// visit queues path i for those layers that it does not concern and was not queued for.
func (c *cover) visit(i int32, layers []uint64) {
	o := c.offers
	seen, concerned := o.seen.of(i), c.reach.of(i)
	var any uint64
	for w, b := range layers {
		b &^= concerned[w] | seen[w]
		seen[w] |= b
		o.new[w] = b
		any |= b
	}
	if any != 0 {
		o.queue = append(o.queue, i)
		o.masks = append(o.masks, o.new...)
	}
}

// weighPath adds the event of path i for some layers, and takes those away from them
// that are closed. It reports whether any is left.
func (c *cover) weighPath(i int32, layers []uint64) bool {
	o := c.offers
	s := c.m.source[i]
	weight := c.m.own[i]
	var event []uint64
	if s >= 0 {
		weight, event = c.m.shared[s], o.event.of(s)
	}
	var any uint64
	for w := range layers {
		layers[w] &= o.open[w]
		c.steps += bits.OnesCount64(layers[w])
		for k := range eachBit(layers[w]) {
			layer := w*64 + k
			if s >= 0 && (event[w]>>k&1 != 0 || *c.hitsOf(s, int32(layer)) > 0) {
				continue
			}
			if o.extra[layer] += weight; o.extra[layer] > o.most[layer] {
				o.open[w] &^= 1 << k
			}
		}
		if s >= 0 {
			event[w] |= layers[w]
		}
		layers[w] &= o.open[w]
		any |= layers[w]
	}
	return any != 0
}
