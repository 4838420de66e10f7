package layering

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// debianGraphs are closures that tests/fixtures/debian-closure made of packages
// of Debian 12: each an application or several, with all that they depend on.
// Sizes and references are what `nix-store -q --size` and `--references` say.
func debianGraphs(t testing.TB) []*Graph {
	t.Helper()
	f, err := os.Open("testdata/debian.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var closures map[string][]struct {
		Path       string
		NarSize    int64
		References []string
	}
	if err := json.NewDecoder(z).Decode(&closures); err != nil {
		t.Fatal(err)
	}
	var graphs []*Graph
	for _, name := range slices.Sorted(maps.Keys(closures)) {
		var nodes []Node
		for _, n := range closures[name] {
			nodes = append(nodes, Node{n.Path, n.NarSize, n.References})
		}
		graphs = append(graphs, mustGraph(t, nodes))
	}
	return graphs
}

func unionSize(graphs []*Graph) (size int64) {
	seen := map[string]bool{}
	for _, g := range graphs {
		for i, p := range g.paths {
			if !seen[p] {
				seen[p] = true
				size += g.sizes[i]
			}
		}
	}
	return size
}

func planJoint(t testing.TB, graphs []*Graph, budget int) [][]Group {
	t.Helper()
	var images []Joint
	for _, g := range graphs {
		images = append(images, Joint{g, budget})
	}
	groups, err := PlanJoint(context.Background(), images, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range graphs {
		checkPartition(t, g, groups[i], budget)
	}
	return groups
}

// Five images that share a base store less when they are planned together, and
// hardly more than there is.
func TestJointStoresLess(t *testing.T) {
	graphs := debianGraphs(t)
	union := unionSize(graphs)
	for _, test := range []struct {
		budget int
		most   float64 // stored bytes over those of the union
	}{{5, 1.12}, {10, 1.08}, {20, 1.04}, {40, 1.01}, {60, 1.005}, {99, 1.001}} {
		var alone [][]Group
		var pullAlone, pullJoint int64
		for _, g := range graphs {
			groups := plan(t, g, Options{MaxLayers: test.budget})
			alone = append(alone, groups)
			cost, err := Expect(g, groups, nil)
			if err != nil {
				t.Fatal(err)
			}
			pullAlone += cost.Pull
		}
		began := time.Now()
		joint := planJoint(t, graphs, test.budget)
		took := time.Since(began)
		for i, g := range graphs {
			cost, err := Expect(g, joint[i], nil)
			if err != nil {
				t.Fatal(err)
			}
			pullJoint += cost.Pull
		}
		a, j := float64(stored(alone...))/float64(union), float64(stored(joint...))/float64(union)
		t.Logf("%d layers: stored %.4f of the union, %.4f alone; expected pull %.1f MB, %.1f MB alone (%v)", test.budget, j, a, float64(pullJoint)/1e6, float64(pullAlone)/1e6, took)
		if j > test.most || j >= a {
			t.Errorf("%d layers: %.4f of the union is stored, want at most %.4f; planned alone %.4f", test.budget, j, test.most, a)
		}
		if pullJoint > pullAlone*104/100 {
			t.Errorf("%d layers: hosts of one image are expected to pull %d bytes, %d of images planned alone", test.budget, pullJoint, pullAlone)
		}
	}
}

// closureOf returns the closure of that many of all nodes, whichever r says.
func closureOf(t testing.TB, r *rand.Rand, all []Node, roots int) *Graph {
	t.Helper()
	refs := map[string][]string{}
	for _, n := range all {
		refs[n.Path] = n.References
	}
	var stack []string
	for range roots {
		stack = append(stack, all[r.IntN(len(all))].Path)
	}
	in := map[string]bool{}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !in[p] {
			in[p] = true
			stack = append(stack, refs[p]...)
		}
	}
	var nodes []Node
	for _, n := range all {
		if in[n.Path] {
			nodes = append(nodes, n)
		}
	}
	r.Shuffle(len(nodes), func(i, k int) { nodes[i], nodes[k] = nodes[k], nodes[i] })
	return mustGraph(t, nodes)
}

// Whatever images share, each has its own paths, all of them, within its budget.
func TestJointPlansAreSound(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 60 {
		all := randomNodes(r, 2+r.IntN(80))
		var images []Joint
		for range 1 + r.IntN(6) {
			images = append(images, Joint{closureOf(t, r, all, 2), 1 + r.IntN(12)})
		}
		plans, err := PlanJoint(t.Context(), images, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, image := range images {
			checkPartition(t, image.Graph, plans[i], image.MaxLayers)
		}
		again, err := PlanJoint(t.Context(), images, nil)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(plans) {
			t.Fatalf("the same images have two plans: %v", err)
		}
	}
}

func TestJointOfOneAndOfNone(t *testing.T) {
	g := graphOf(t, "a 1 b", "b 2")
	empty := mustGraph(t, nil)
	plans, err := PlanJoint(t.Context(), []Joint{{g, 2}, {empty, 1}, {g, 1}}, nil)
	if err != nil || len(plans) != 3 || len(plans[1]) != 0 || len(plans[0]) == 0 || fmt.Sprint(namesOf(plans[2])) != "[a b]" {
		t.Errorf("plans are %v, %v", plans, err)
	}
	for _, test := range []struct {
		images []Joint
		want   string
	}{
		{nil, "0 images: from 1 to 64"},
		{make([]Joint, 65), "65 images: from 1 to 64"},
		{[]Joint{{g, -1}}, "a budget of -1 layers"},
		{[]Joint{{g, 5}, {graphOf(t, "a 7 b", "b 2"), 5}}, testPath("a") + " is not the same in image 2"},
		{[]Joint{{g, 5}, {graphOf(t, "a 1", "b 2"), 5}}, testPath("a") + " is not the same in image 2"},
	} {
		if _, err := PlanJoint(t.Context(), test.images, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}

// With few layers it is better to store a little twice than to tie together
// what has nothing in common.
func TestJointTradesBytesForLayers(t *testing.T) {
	one := graphOf(t, "app1 50000000 shared", "shared 1000", "base 80000000")
	two := graphOf(t, "app2 60000000 shared", "shared 1000", "base 80000000")
	plans, err := PlanJoint(t.Context(), []Joint{{one, 2}, {two, 2}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := stored(plans...)
	if got != 50000000+60000000+80000000+2*1000 {
		t.Errorf("stored %d: %v, %v", got, namesOf(plans[0]), namesOf(plans[1]))
	}
}

func TestJointStopsWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := mustGraph(t, randomNodes(rand.New(rand.NewPCG(1, 1)), 200))
	if _, err := PlanJoint(ctx, []Joint{{g, 2}, {g, 3}}, nil); err == nil {
		t.Error("no error")
	}
}

// stored returns the bytes of the layers of several images, each that is the
// same set of paths counted once.
func stored(images ...[]Group) (bytes int64) {
	seen := make(map[string]bool)
	var key []byte
	for _, groups := range images {
		for _, g := range groups {
			key = key[:0]
			for _, p := range g.Paths {
				key = append(append(key, p...), 0)
			}
			if !seen[string(key)] {
				seen[string(key)] = true
				bytes += g.Size
			}
		}
	}
	return bytes
}
