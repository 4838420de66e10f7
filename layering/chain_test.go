package layering

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// The more the chain counts, the less of it is expected, at the cost of the pull.
func TestChainWeight(t *testing.T) {
	var pull, chain []float64
	for _, weight := range []float64{0.001, 1, MaxChainWeight} {
		var p, c float64
		for seed := range uint64(10) {
			g := mustGraph(t, closureNodes(rand.New(rand.NewPCG(seed, 5)), 120))
			cost, err := Expect(g, plan(t, g, Options{MaxLayers: 12, ChainWeight: weight}), nil)
			if err != nil {
				t.Fatal(err)
			}
			p += float64(cost.Pull) / float64(g.Size())
			c += float64(cost.Chain) / float64(g.Size())
		}
		pull, chain = append(pull, p), append(chain, c)
	}
	if pull[2] <= pull[0] || chain[2] >= chain[1] || chain[1] >= chain[0] {
		t.Errorf("with growing weight pull is %v and chain %v", pull, chain)
	}
}

func TestChainWeightRefused(t *testing.T) {
	g := graphOf(t, "a 1")
	for _, weight := range []float64{-1, MaxChainWeight + 1, math.NaN(), math.Inf(1)} {
		if _, err := Plan(context.Background(), g, Options{ChainWeight: weight}); err == nil {
			t.Errorf("a chain weight of %v is taken", weight)
		}
	}
}

func TestPlansDoNotDependOnCores(t *testing.T) {
	g := mustGraph(t, largeNodes(2000))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := fmt.Sprint(plan(t, g, Options{}))
	runtime.GOMAXPROCS(4)
	if got := fmt.Sprint(plan(t, g, Options{})); got != want {
		t.Error("four cores plan otherwise than one")
	}
}
