package layering

import (
	"math/rand/v2"
	"testing"
)

// widelyUsed makes a closure of n paths that each refer to a few earlier ones, the
// earlier the more often, as packages refer to a C library; the last refers to all
// that nothing else does.
func widelyUsed(n int) []Node {
	r := rand.New(rand.NewPCG(uint64(n), 8))
	nodes := randomNodes(r, n)
	used := make([]bool, n)
	for i := range nodes {
		nodes[i].References = nil
		for range min(i, r.IntN(8)) {
			x := r.Float64()
			ref := int(float64(i) * x * x * x)
			nodes[i].References = append(nodes[i].References, nodes[ref].Path)
			used[ref] = true
		}
	}
	for i := range n - 1 {
		if !used[i] {
			nodes[n-1].References = append(nodes[n-1].References, nodes[i].Path)
		}
	}
	return nodes
}

// TestCoarsenJoinsToFewAtoms: each path is in one set, and there are no more sets
// than the optimiser's tables are for.
func TestCoarsenJoinsToFewAtoms(t *testing.T) {
	for _, n := range []int{mostAtoms + 1, 3_000, mostRefined} {
		p, err := newProblem(mustGraph(t, widelyUsed(n)), &Options{})
		if err != nil {
			t.Fatal(err)
		}
		sets, err := p.coarsen(t.Context(), p.costOptions())
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[int32]bool)
		for _, set := range sets {
			for _, i := range set {
				if seen[i] {
					t.Errorf("path %d of %d is in two sets", i, n)
				}
				seen[i] = true
			}
		}
		if len(seen) != n || len(sets) != mostAtoms {
			t.Errorf("%d of %d paths in %d sets, want %d", len(seen), n, len(sets), mostAtoms)
		}
	}
}
