package layering

import "context"

// merge joins bundles until there are at most budget of them and no two are
// cheaper as one: again and again the two whose joining costs least. Bundles
// above opt.most are made only where the budget cannot be kept without.
func (p *partition) merge(ctx context.Context, budget int) error {
	for most := p.in.opt.most; ; most *= 2 {
		t := newMergeTable(p, func(i, j int) int64 { return p.joint(i, j, most) })
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			i, j, rise := t.cheapest()
			if i < 0 || rise >= 0 && t.alive <= budget {
				break
			}
			t.join(i, j)
		}
		p.dropEmpty()
		if len(p.bundles) <= budget {
			return nil
		}
	}
}

// mergeTable keeps what every two bundles cost more as one (never, where they
// must not be joined), and for each the best among those with lower numbers.
type mergeTable struct {
	p     *partition
	price func(i, j int) int64
	rise  [][]int64 // rise[i][j] for j < i
	best  []int     // j with the least rise[i][j], or −1
	alive int
}

func newMergeTable(p *partition, price func(i, j int) int64) *mergeTable {
	n := len(p.bundles)
	t := &mergeTable{p: p, price: price, rise: make([][]int64, n), best: make([]int, n), alive: n}
	flat := make([]int64, n*(n-1)/2)
	for i := range n {
		t.rise[i], flat = flat[:i:i], flat[i:]
		for j := range i {
			t.rise[i][j] = price(i, j)
		}
		t.findBest(i)
	}
	return t
}

func (t *mergeTable) findBest(i int) {
	t.best[i] = -1
	least := int64(never)
	for j, rise := range t.rise[i] {
		if rise < least {
			t.best[i], least = j, rise
		}
	}
}

// cheapest returns the two bundles to join next, i > j; i < 0 if none can be.
func (t *mergeTable) cheapest() (i, j int, rise int64) {
	i, rise = -1, never
	for k, b := range t.best {
		if b >= 0 && t.rise[k][b] < rise {
			i, rise = k, t.rise[k][b]
		}
	}
	if i < 0 {
		return -1, -1, never
	}
	return i, t.best[i], rise
}

// join empties bundle i into j.
func (t *mergeTable) join(i, j int) {
	p := t.p
	p.joinInto(i, j)
	t.alive--
	t.best[i] = -1
	for k := range t.rise[i] {
		t.rise[i][k] = never
	}
	for k := i + 1; k < len(t.rise); k++ {
		t.set(k, i, never)
	}
	for k := range j {
		if len(p.bundles[k].atoms) > 0 {
			t.rise[j][k] = t.price(j, k)
		}
	}
	t.findBest(j)
	for k := j + 1; k < len(t.rise); k++ {
		if len(p.bundles[k].atoms) > 0 {
			t.set(k, j, t.price(k, j))
		}
	}
}

// set changes an entry and keeps the best of its row.
func (t *mergeTable) set(i, j int, rise int64) {
	old := t.rise[i][j]
	t.rise[i][j] = rise
	b := t.best[i]
	switch {
	case b == j && rise > old:
		t.findBest(i)
	case b < 0 && rise < never, b >= 0 && (rise < t.rise[i][b] || rise == t.rise[i][b] && j < b):
		t.best[i] = j
	}
}

const (
	// layerOverhead is what fetching a layer costs beside its bytes, in bytes:
	// a round trip or two of some 20 ms, at 100 Mbit/s.
	layerOverhead = 256 << 10

	// tinyShare is the part of the expected pull that may be given for fewer
	// layers. Overhead weighs little against unpacking what did not change, on
	// a host that has the layers already.
	tinyShare = 20_000
)

// joinTiny joins layers that are not worth a layer of their own: where the
// overhead that is saved exceeds the bytes that are pulled more often. The
// budget is for layers that serve.
func (p *partition) joinTiny() {
	left := p.cost() / tinyShare
	t := newMergeTable(p, func(i, j int) int64 {
		rise := p.joint(i, j, p.in.opt.most)
		if rise > left || rise >= p.overheadSaved(i, j) {
			return never
		}
		return rise
	})
	for {
		i, j, rise := t.cheapest()
		if i < 0 || rise > left {
			break
		}
		left -= rise
		t.join(i, j)
	}
	p.dropEmpty()
}

// overheadSaved is the overhead that bundles i and j are expected to cost less as one.
func (p *partition) overheadSaved(i, j int) int64 {
	a, b := p.bundles[i], p.bundles[j]
	both := p.in.jointWeight(a, b)
	return expected(layerOverhead, a.weight) + expected(layerOverhead, b.weight) - expected(layerOverhead, both)
}

// joinInto empties bundle i into j.
func (p *partition) joinInto(i, j int) {
	for _, a := range p.bundles[i].atoms {
		p.bundles[j].add(p.in, a)
		p.home[a] = j
	}
	p.bundles[i].atoms = nil
}
