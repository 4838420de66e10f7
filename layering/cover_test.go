package layering

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// What a cover keeps as paths move is what a new one finds out, and no pass makes
// the whole dearer.
func TestCoverStaysExact(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 13))
		g := mustGraph(t, randomNodes(r, 20+r.IntN(400)))
		p, err := newProblem(g, &Options{MaxLayers: 2 + r.IntN(140)})
		if err != nil {
			t.Fatal(err)
		}
		sets := make([][]int32, min(p.budget, g.Len()))
		for k, i := range r.Perm(g.Len()) {
			if k >= len(sets) {
				k = r.IntN(len(sets))
			}
			sets[k] = append(sets[k], int32(i))
		}
		most := p.costOptions().most
		c := p.model.newCover(sets, most)
		for range 3 {
			before := c.cost()
			moved := c.pass(p.freeByShape())
			if c.cost() > before || moved != (c.cost() < before) {
				t.Errorf("seed %d: a pass makes of cost %d cost %d, and says that it moved something: %v", seed, before, c.cost(), moved)
			}
			layers := c.sets()
			fresh := p.model.newCover(layers, most)
			for n, set := range layers {
				k := c.home[set[0]]
				got, want := c.layers[k], fresh.layers[n]
				if got.paths != want.paths || got.size != want.size || got.weight != want.weight || got.cost != want.cost {
					t.Errorf("seed %d: a layer is kept as %+v, and is %+v", seed, got, want)
				}
				for i := range int32(g.Len()) {
					if hasBit(c.reach.of(i), k) != hasBit(fresh.reach.of(i), int32(n)) {
						t.Errorf("seed %d: path %d concerns layer %d: %v", seed, i, k, hasBit(c.reach.of(i), k))
					}
				}
				for s := range int32(len(p.model.shared)) {
					if *c.hitsOf(s, k) != *fresh.hitsOf(s, int32(n)) {
						t.Errorf("seed %d: layer %d is concerned by %d paths of source %d, not %d", seed, k, *c.hitsOf(s, k), s, *fresh.hitsOf(s, int32(n)))
					}
				}
			}
		}
	}
}

// Where many paths refer to the same few, searches take steps with the square of the
// paths; passes end when there have been too many.
func TestPassEndsInTime(t *testing.T) {
	const hubs, n, left = 5, 2000, 100_000
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{Path: fmt.Sprintf("/nix/store/%s-p%04d-1.%d", testHash(uint64(i)), i, i%30), Size: int64(i) * 100}
		for k := range min(i, hubs) {
			nodes[i].References = append(nodes[i].References, nodes[k].Path)
		}
	}
	p, err := newProblem(mustGraph(t, nodes), &Options{})
	if err != nil {
		t.Fatal(err)
	}
	sets := p.g.cut(p.freeByShape(), p.budget)
	for _, steps := range []int{0, mostSteps - left} {
		c := p.model.newCover(sets, p.costOptions().most)
		c.steps = steps
		before := c.cost()
		c.pass(p.freeByShape())
		switch over := c.steps - mostSteps; {
		case c.cost() > before:
			t.Errorf("a pass makes of cost %d cost %d", before, c.cost())
		case steps == 0 && c.steps < 10*left:
			t.Errorf("a pass takes %d steps, too few to test anything", c.steps)
		case over > left:
			t.Errorf("a pass takes %d steps too many", over)
		}
	}
}

// bipartite makes n paths of which one in ten is a library that some of the others
// refer to.
func bipartite(n int) []Node {
	r := rand.New(rand.NewPCG(uint64(n), 4))
	nodes := closureNodes(r, n)
	for i := range nodes {
		nodes[i].Size = int64(20_000 / (0.0001 + r.Float64()))
		nodes[i].References = nil
		if i < n/10 {
			continue
		}
		for range 1 + r.IntN(10) {
			nodes[i].References = append(nodes[i].References, nodes[r.IntN(n/10)].Path)
		}
	}
	return nodes
}

// Of thousands of paths no simple plan is cheaper: what size-first makes, a layer for
// each of the largest paths, or all in one.
func TestManyPathsBeatSimplePlans(t *testing.T) {
	for name, nodes := range map[string][]Node{"bipartite": bipartite(16_000), "widely used": widelyUsed(20_000)} {
		g := mustGraph(t, nodes)
		for _, layers := range []int{5, 20} {
			p, err := newProblem(g, &Options{MaxLayers: layers})
			if err != nil {
				t.Fatal(err)
			}
			ours, err := p.layers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			bySize, err := p.byRule(t.Context(), sizeFirst)
			if err != nil {
				t.Fatal(err)
			}
			largest := slices.Clone(p.free)
			slices.SortFunc(largest, func(a, b int32) int { return int(g.sizes[b] - g.sizes[a]) })
			least := int64(math.MaxInt64)
			for _, sets := range [][][]int32{bySize, append(alone(largest[:layers-1]), largest[layers-1:]), {p.free}} {
				least = min(least, p.model.costOf(sets))
			}
			t.Logf("%s in %d layers: %.3f of the cheapest simple plan", name, layers, float64(ours.cost())/float64(least))
			if ours.cost() > least {
				t.Errorf("%s in %d layers: a simple plan is cheaper", name, layers)
			}
		}
	}
}
