package layering

import "context"

// merge joins bundles until there are at most budget of them and no two are
// cheaper as one: again and again the two whose joining costs least. Bundles
// above opt.most are made only where the budget cannot be kept without.
func (p *partition) merge(ctx context.Context, budget int) error {
	for most := p.in.opt.most; ; most *= 2 {
		t := newMergeTable(p, most)
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

// mergeTable keeps what every two bundles cost more as one, and for each the
// best among those with lower numbers.
type mergeTable struct {
	p     *partition
	most  int64
	rise  [][]int64 // rise[i][j] for j < i
	best  []int     // j with the least rise[i][j], or −1
	alive int
}

func newMergeTable(p *partition, most int64) *mergeTable {
	n := len(p.bundles)
	t := &mergeTable{p: p, most: most, rise: make([][]int64, n), best: make([]int, n), alive: n}
	flat := make([]int64, n*(n-1)/2)
	for i := range n {
		t.rise[i], flat = flat[:i:i], flat[i:]
		for j := range i {
			t.rise[i][j] = p.joint(i, j, most)
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
	for _, a := range p.bundles[i].atoms {
		p.bundles[j].add(p.in, a)
		p.home[a] = j
	}
	p.bundles[i].atoms = nil
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
			t.rise[j][k] = p.joint(j, k, t.most)
		}
	}
	t.findBest(j)
	for k := j + 1; k < len(t.rise); k++ {
		if len(p.bundles[k].atoms) > 0 {
			t.set(k, j, p.joint(k, j, t.most))
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
