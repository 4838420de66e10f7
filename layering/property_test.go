package layering

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// forRandomGraphs runs check for each strategy on graphs of many sizes.
func forRandomGraphs(t *testing.T, check func(t *testing.T, r *rand.Rand, nodes []Node, o Options)) {
	for _, s := range Strategies() {
		t.Run(s, func(t *testing.T) {
			for seed := range uint64(40) {
				r := rand.New(rand.NewPCG(seed, 1))
				nodes := randomNodes(r, 1+r.IntN(120))
				check(t, r, nodes, Options{Strategy: s, MaxLayers: 1 + r.IntN(40)})
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func TestPlansArePartitionsWithinBudget(t *testing.T) {
	forRandomGraphs(t, func(t *testing.T, _ *rand.Rand, nodes []Node, o Options) {
		g := mustGraph(t, nodes)
		checkPartition(t, g, plan(t, g, o), o.MaxLayers)
	})
}

func TestPlansDoNotDependOnOrder(t *testing.T) {
	forRandomGraphs(t, func(t *testing.T, r *rand.Rand, nodes []Node, o Options) {
		want := fmt.Sprint(plan(t, mustGraph(t, nodes), o))
		for range 3 {
			r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
			for _, n := range nodes {
				r.Shuffle(len(n.References), func(i, j int) { n.References[i], n.References[j] = n.References[j], n.References[i] })
			}
			if got := fmt.Sprint(plan(t, mustGraph(t, nodes), o)); got != want {
				t.Errorf("another order of the input gives\n%s\nnot\n%s", got, want)
			}
		}
	})
}

// A path with a new hash, and with it all that refer to it, stay where they
// were, and so do all others.
func TestNewHashesMoveNothing(t *testing.T) {
	forRandomGraphs(t, func(t *testing.T, r *rand.Rand, nodes []Node, o Options) {
		for i := range nodes { // nixpkgs' rules order equal names by hash: make them differ
			nodes[i].Path += fmt.Sprint("-", i)
			for k, ref := range nodes[i].References {
				for j := range nodes[:i+1] {
					if strings.HasPrefix(nodes[j].Path, ref+"-") || nodes[j].Path == ref {
						nodes[i].References[k] = nodes[j].Path
					}
				}
			}
		}
		want := namesOf(plan(t, mustGraph(t, nodes), o))
		updated := rehash(nodes, r.IntN(len(nodes)), r.Uint64())
		if got := namesOf(plan(t, mustGraph(t, updated), o)); !slices.Equal(got, want) {
			t.Errorf("new hashes give\n%v\nnot\n%v", got, want)
		}
	})
}

// rehash gives nodes[at] and all that depend on it new hashes.
func rehash(nodes []Node, at int, seed uint64) []Node {
	renamed := map[string]string{}
	out := slices.Clone(nodes)
	for i := range out { // references point backwards
		changed := i == at
		out[i].References = slices.Clone(out[i].References)
		for k, ref := range out[i].References {
			if to, ok := renamed[ref]; ok {
				out[i].References[k] = to
				changed = true
			}
		}
		if changed {
			old := out[i].Path
			_, name := splitPath(old)
			out[i].Path = "/nix/store/" + testHash(seed+uint64(i)) + "-" + name
			renamed[old] = out[i].Path
			for k, ref := range out[i].References {
				if ref == old {
					out[i].References[k] = out[i].Path
				}
			}
		}
	}
	return out
}
