package layering

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// chained makes n paths of which each refers to the one before. A sixth of them
// are tiny, and so with them most of what is known of the closure.
func chained(n int) []Node {
	r := rand.New(rand.NewPCG(uint64(n), 3))
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{Path: testPath(fmt.Sprintf("p%d-1.%d", i, i%7)), Size: int64(20_000 / (0.0001 + r.Float64()))}
		if i > 0 {
			nodes[i].References = []string{nodes[i-1].Path}
		}
	}
	return nodes
}

// alike makes a chain of n paths of one size.
func alike(n int) []Node {
	nodes := chained(n)
	for i := range nodes {
		nodes[i].Size = 100_000
	}
	return nodes
}

// TestUpdateCostBeatsSizeFirst: also where references go through tiny paths, which
// are left out at first.
func TestUpdateCostBeatsSizeFirst(t *testing.T) {
	for _, n := range []int{60, 100, 400, 1000, 5000} {
		g := mustGraph(t, chained(n))
		for _, layers := range []int{5, 20, 60} {
			cost := func(strategy string) int64 {
				c, err := Expect(g, plan(t, g, Options{Strategy: strategy, MaxLayers: layers}), nil)
				if err != nil {
					t.Fatal(err)
				}
				return c.Pull
			}
			ours, theirs := cost(UpdateCost), cost(SizeFirst)
			if ours > theirs+theirs/leastGain {
				t.Errorf("%d paths in %d layers: %d bytes expected to be pulled, and %d of size-first's", n, layers, ours, theirs)
			}
		}
	}
}
