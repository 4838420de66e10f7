package layering

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// closureNodes makes n paths as those of a real closure: sizes are lognormal
// (median 270 kB, one in a hundred above 18 MB, as in closures of Debian
// packages), names have versions, references go to what is near, as among the
// libraries of one family, or to the foundations, and one root refers to all
// that nothing else refers to. Dependencies come first.
func closureNodes(r *rand.Rand, n int) []Node {
	nodes := make([]Node, n)
	used := make([]bool, n)
	for i := range nodes {
		nodes[i].Path = fmt.Sprintf("/nix/store/%s-p%d-%d.%d.%d", testHash(r.Uint64()), i, r.IntN(9), r.IntN(30), r.IntN(30))
		nodes[i].Size = int64(math.Exp(12.5 + 1.8*r.NormFloat64()))
		if i == 0 {
			continue
		}
		refs := map[int]bool{i - 1 - int(float64(i)*math.Pow(r.Float64(), 9)): r.IntN(4) == 0}
		refs[int(float64(min(i, 8))*r.Float64()*r.Float64())] = true
		for range r.IntN(4) {
			refs[max(0, i-1-r.IntN(12))] = r.IntN(2) == 0
		}
		for ref := range i {
			if refs[ref] || i == n-1 && !used[ref] {
				nodes[i].References = append(nodes[i].References, nodes[ref].Path)
				used[ref] = true
			}
		}
	}
	return nodes
}

// small is the size below which paths are small to these tests.
const small = 20_000

// insertSmall adds a small path that refers to a few and that one refers to,
// most times: that one and all that depend on it get new hashes.
func insertSmall(r *rand.Rand, nodes []Node) []Node {
	at := 1 + r.IntN(len(nodes)-1)
	added := Node{Path: "/nix/store/" + testHash(r.Uint64()) + "-small-0.1", Size: 1 + r.Int64N(small)}
	for range r.IntN(4) {
		added.References = append(added.References, nodes[r.IntN(at)].Path)
	}
	out := slices.Insert(slices.Clone(nodes), at, added)
	if r.IntN(4) == 0 {
		return out
	}
	user := at + 1 + r.IntN(len(out)-at-1)
	out[user].References = append(slices.Clone(out[user].References), added.Path)
	return rehash(out, user, r.Uint64())
}

// removeSmall takes away a small path; those that referred to it change.
func removeSmall(r *rand.Rand, nodes []Node) []Node {
	at := -1
	for i, n := range nodes {
		if n.Size < small && (at < 0 || r.IntN(i+1) == 0) {
			at = i
		}
	}
	if at < 0 {
		return nodes
	}
	gone := nodes[at].Path
	out := slices.Delete(slices.Clone(nodes), at, at+1)
	for i := range out {
		if slices.Contains(out[i].References, gone) {
			out[i].References = slices.DeleteFunc(slices.Clone(out[i].References), func(ref string) bool { return ref == gone })
			out = rehash(out, i, r.Uint64())
		}
	}
	return out
}

// changeHash gives one path, and with it its referrers, a new hash.
func changeHash(r *rand.Rand, nodes []Node) []Node {
	return rehash(nodes, r.IntN(len(nodes)), r.Uint64())
}

// needlessly returns the bytes of layers that are new though none of their
// paths is.
func needlessly(before, after []Group) (bytes int64) {
	had, known := map[string]bool{}, map[string]bool{}
	for _, g := range before {
		had[strings.Join(g.Paths, " ")] = true
		for _, p := range g.Paths {
			known[p] = true
		}
	}
	for _, g := range after {
		fresh := slices.ContainsFunc(g.Paths, func(p string) bool { return !known[p] })
		if !fresh && !had[strings.Join(g.Paths, " ")] {
			bytes += g.Size
		}
	}
	return bytes
}

// A small change of a closure leaves the layers that it does not concern as
// they were: on average all but 2 % of the bytes.
func TestSmallChangesMoveLittle(t *testing.T) {
	const runs = 150
	for _, change := range []struct {
		name string
		to   func(*rand.Rand, []Node) []Node
		most float64
	}{{"hash", changeHash, 0}, {"add", insertSmall, 0.02}, {"remove", removeSmall, 0.02}} {
		t.Run(change.name, func(t *testing.T) {
			t.Parallel()
			var share float64
			for seed := range uint64(runs) {
				r := rand.New(rand.NewPCG(seed, 2))
				nodes := closureNodes(r, 30+r.IntN(170))
				o := Options{MaxLayers: 5 + r.IntN(95)}
				g := mustGraph(t, nodes)
				moved := needlessly(plan(t, g, o), plan(t, mustGraph(t, change.to(r, nodes)), o))
				share += float64(moved) / float64(g.Size()) / runs
			}
			t.Logf("%.2f %% of the bytes are in layers that are new without need", share*100)
			if share > change.most {
				t.Errorf("%.2f %% of the bytes are in layers that are new without need, want at most %.0f", share*100, change.most*100)
			}
		})
	}
}
