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
// are left out at first, and where there are so few layers that little is to be won;
// but not where size-first makes layers larger than update-cost may.
func TestUpdateCostBeatsSizeFirst(t *testing.T) {
	for name, nodes := range map[string]func(n int) []Node{"chained": chained, "large": largeNodes, "bipartite": bipartite} {
		for _, n := range []int{60, 100, 400, 1000, 3000} {
			g := mustGraph(t, nodes(n))
			for _, layers := range []int{2, 5, 20, 60} {
				p, err := newProblem(g, &Options{MaxLayers: layers})
				if err != nil {
					t.Fatal(err)
				}
				cost := func(strategy string) (all, largest int64) {
					groups := plan(t, g, Options{Strategy: strategy, MaxLayers: layers})
					c, err := Expect(g, groups, nil)
					if err != nil {
						t.Fatal(err)
					}
					for _, group := range groups {
						largest = max(largest, group.Size)
					}
					return c.Pull + int64(DefaultChainWeight*float64(c.Chain)), largest
				}
				ours, _ := cost(UpdateCost)
				if theirs, largest := cost(SizeFirst); ours > theirs && largest <= p.costOptions().most {
					t.Errorf("%s: %d paths in %d layers: %d bytes expected to be pulled and unpacked, and %d of size-first's", name, n, layers, ours, theirs)
				}
			}
		}
	}
}
