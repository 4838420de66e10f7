package layering

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// largeNodes makes a closure of n paths with about ten references each: half
// to what is near (libraries of one family), half to the foundations, the more
// basic the more often.
func largeNodes(n int) []Node {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i].Path = fmt.Sprintf("/nix/store/%s-p%d-1.%d.%d", testHash(uint64(i)), i, r.IntN(30), r.IntN(30))
		nodes[i].Size = int64(20_000 / (0.0001 + r.Float64()))
		if i == 0 {
			continue
		}
		for range r.IntN(22) {
			ref := i - 1 - r.IntN(min(i, 50))
			if r.IntN(2) == 0 {
				x := r.Float64()
				ref = int(float64(i) * x * x * x)
			}
			nodes[i].References = append(nodes[i].References, nodes[ref].Path)
		}
	}
	return nodes
}

// BenchmarkPlan has the time and memory that plans take. Bounds: update-cost
// 30 ms for 300 paths, 1 s for 5,000, 0.8 s for 20,000, 15 s and 1 GiB for
// 100,000 with a million references; 2 s for the others. make bench-layering
// holds it against them.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{300, 5_000, 20_000, 100_000} {
		nodes := largeNodes(n)
		g := mustGraph(b, nodes)
		for _, s := range Strategies() {
			b.Run(fmt.Sprintf("%s-%d", s, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Plan(context.Background(), g, Options{Strategy: s}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("graph-%d", n), func(b *testing.B) {
			for b.Loop() {
				mustGraph(b, nodes)
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 1))
	g := mustGraph(b, closureNodes(r, 300))
	b.Run("closure-300", func(b *testing.B) {
		for b.Loop() {
			if _, err := Plan(context.Background(), g, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
