package layering

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func plan(t testing.TB, g *Graph, o Options) []Group {
	t.Helper()
	groups, err := Plan(context.Background(), g, o)
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

// The graphs were made at random, with sizes that differ, and the layers by
// nixpkgs' own programs: auto-layer.py, given the graph and the limit, for
// sizeFirst; the order of closure-graph.py, cut after layers-1, for popularity:
//
//	PYTHONHASHSEED=0 python3 auto-layer.py graph.json /dev/null LAYERS
//	python3 closure-graph.py graph.json KEY
func TestAsNixpkgs(t *testing.T) {
	var cases []struct {
		Graph                 jsonGraph
		Layers                int
		SizeFirst, Popularity [][]string
	}
	readCases(t, "nixpkgs.json", &cases)
	for i, c := range cases {
		g := mustGraph(t, c.Graph.nodes())
		for strategy, want := range map[string][][]string{SizeFirst: c.SizeFirst, Popularity: c.Popularity} {
			var got [][]string
			for _, group := range plan(t, g, Options{Strategy: strategy, MaxLayers: c.Layers}) {
				got = append(got, group.Paths)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("graph %d, %s in %d layers:\n got %v\nwant %v", i, strategy, c.Layers, got, want)
			}
		}
	}
}

// The example in nixpkgs' closure-graph.py: F 9, E 5, D 4, C 3, B 2, G 2, A 1.
func TestPopularityExample(t *testing.T) {
	g := graphOf(t, "A 1 B G", "B 1 C E", "C 1 D E", "D 1 F", "E 1 F", "F 1", "G 1")
	var all []int32
	for i := range int32(g.Len()) {
		all = append(all, i)
	}
	var got []string
	for _, s := range g.scores(all, g.waysFromRoots()) {
		_, name := splitPath(g.paths[s.path])
		got = append(got, name+" "+s.score.String())
	}
	want := []string{"A 1", "B 2", "C 3", "D 4", "E 5", "F 9", "G 2"}
	if !slices.Equal(got, want) {
		t.Errorf("scores are %v, want %v", got, want)
	}
	groups := namesOf(plan(t, g, Options{Strategy: Popularity, MaxLayers: 7}))
	if want := []string{"F", "E", "D", "C", "B", "G", "A"}; !slices.Equal(groups, want) {
		t.Errorf("layers are %v, want %v", groups, want)
	}
	groups = namesOf(plan(t, g, Options{Strategy: Popularity, MaxLayers: 4}))
	if want := []string{"F", "E", "D", "A B C G"}; !slices.Equal(groups, want) {
		t.Errorf("layers are %v, want %v", groups, want)
	}
}

// Sixty-four diamonds on top of each other: 2^64 ways lead to the bottom.
func TestDiamonds(t *testing.T) {
	lines := []string{"j00 1"}
	for i := 1; i <= 64; i++ {
		lines = append(lines,
			fmt.Sprintf("l%02d 1 j%02d", i, i-1), fmt.Sprintf("r%02d 1 j%02d", i, i-1),
			fmt.Sprintf("j%02d 1 l%02d r%02d", i, i, i))
	}
	g := graphOf(t, lines...)
	groups := namesOf(plan(t, g, Options{Strategy: Popularity, MaxLayers: 125}))
	if got, want := groups[:4], []string{"j00", "l01", "r01", "j01"}; !slices.Equal(got, want) {
		t.Errorf("the most popular are %v, want %v", got, want)
	}
	if last := groups[len(groups)-1]; !strings.HasPrefix(last, "j") || !strings.Contains(last, "j64") {
		t.Errorf("the last layer is %q, want one with the root", last)
	}
	for _, s := range Strategies() {
		for _, budget := range []int{1, 2, 10, 125} {
			checkPartition(t, g, plan(t, g, Options{Strategy: s, MaxLayers: budget}), budget)
		}
	}
}

func TestSizeFirstByHand(t *testing.T) {
	// big and huge are primary first; libc serves both, and small, which is in
	// nobody's closure, stays in the layer without a primary.
	g := graphOf(t, "big 100 lib libc", "huge 200 libc", "lib 3 libc", "libc 10", "small 1")
	for budget, want := range map[int][]string{
		1: {"big huge lib libc small"},
		2: {"big lib small", "huge libc"},
		4: {"small", "libc", "big lib", "huge"},
		5: {"small", "libc", "lib", "big", "huge"},
		9: {"small", "libc", "lib", "big", "huge"},
	} {
		got := namesOf(plan(t, g, Options{Strategy: SizeFirst, MaxLayers: budget}))
		if !slices.Equal(got, want) {
			t.Errorf("%d layers: got %q, want %q", budget, got, want)
		}
	}
}

func TestPins(t *testing.T) {
	g := graphOf(t, "app-1.0 5 lib", "app-data 7", "lib 100 libc", "libc 50", "tool 3 libc")
	pins := []Pin{{Glob: "app-*", Layer: "app"}, {Glob: "app-data", Layer: "never"}, {Glob: "/nix/store/*-tool", Layer: "tools"}, {Glob: "nothing", Layer: "void"}}
	for _, s := range Strategies() {
		groups := plan(t, g, Options{Strategy: s, MaxLayers: 4, Pins: pins})
		checkPartition(t, g, groups, 4)
		names := map[string]string{}
		for i, group := range groups {
			names[group.Name] += namesOf(groups)[i] + ";"
		}
		if names["app"] != "app-1.0 app-data;" || names["tools"] != "tool;" || names["void"] != "" || names["never"] != "" {
			t.Errorf("%s: layers by name are %v", s, names)
		}
	}
	for want, o := range map[string]Options{
		"no room":           {MaxLayers: 2, Pins: pins},
		"malformed pattern": {Pins: []Pin{{Glob: "[", Layer: "x"}}},
		"no layer":          {Pins: []Pin{{Glob: "*"}}},
		"budget of -1":      {MaxLayers: -1},
		"minimum size":      {MinSize: -5},
		"no strategy":       {Strategy: "fastest"},
	} {
		if _, err := Plan(context.Background(), g, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Plan(%+v) = %v, want an error with %q", o, err, want)
		}
	}
	all := plan(t, g, Options{MaxLayers: 1, Pins: []Pin{{Glob: "*", Layer: "all"}}})
	if len(all) != 1 || all[0].Name != "all" {
		t.Errorf("everything pinned: %v", all)
	}
}

func TestMinSize(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	g := mustGraph(t, randomNodes(r, 80))
	const least = 20_000
	for _, s := range Strategies() {
		groups := plan(t, g, Options{Strategy: s, MaxLayers: 60, MinSize: least})
		checkPartition(t, g, groups, 60)
		if len(groups) < 2 {
			t.Errorf("%s: everything is in one layer", s)
		}
		for _, group := range groups {
			if group.Size < least {
				t.Errorf("%s: a layer of %d bytes", s, group.Size)
			}
		}
	}
}

// TestLargestClosure: no sum overflows where sizes are as large as they may be.
func TestLargestClosure(t *testing.T) {
	nodes := randomNodes(rand.New(rand.NewPCG(1, 2)), 40)
	for i := range nodes {
		nodes[i].Size = maxTotal / int64(len(nodes))
	}
	nodes[0].Size += maxTotal % int64(len(nodes))
	g := mustGraph(t, nodes)
	always := &Rates{Default: 1}
	first := plan(t, g, Options{MaxLayers: 7, Rates: always})
	for _, o := range []Options{{MaxLayers: 1}, {MaxLayers: 2}, {MaxLayers: 9, Previous: pathsOf(first)}, {MaxLayers: 5, Previous: pathsOf(first)}} {
		o.ChainWeight, o.Rates = MaxChainWeight, always
		groups := plan(t, g, o)
		checkPartition(t, g, groups, o.MaxLayers)
		cost, err := Expect(g, groups, always)
		if err != nil || cost.Pull < 0 || cost.Pull > maxTotal || cost.Chain < cost.Pull || cost.Chain > maxTotal {
			t.Errorf("at most %d layers: expected cost %+v, %v", o.MaxLayers, cost, err)
		}
	}
}

func TestEmptyGraph(t *testing.T) {
	g := mustGraph(t, nil)
	for _, s := range Strategies() {
		if groups := plan(t, g, Options{Strategy: s}); len(groups) != 0 {
			t.Errorf("%s: %v", s, groups)
		}
	}
}

func TestPlanStopsWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g := mustGraph(t, randomNodes(rand.New(rand.NewPCG(1, 1)), 200))
	for _, s := range Strategies() {
		if _, err := Plan(ctx, g, Options{Strategy: s, MaxLayers: 10}); err == nil {
			t.Errorf("%s went on after its context was done", s)
		}
	}
}

func checkPartition(t testing.TB, g *Graph, groups []Group, budget int) {
	t.Helper()
	if len(groups) > budget {
		t.Errorf("%d groups in a budget of %d", len(groups), budget)
	}
	var all []string
	var size int64
	for _, group := range groups {
		if len(group.Paths) == 0 {
			t.Error("a group without paths")
		}
		if !slices.IsSortedFunc(group.Paths, func(a, b string) int { return keyOf(a).compare(keyOf(b)) }) {
			t.Errorf("paths are not sorted: %v", group.Paths)
		}
		var sum int64
		for _, p := range group.Paths {
			k, _ := slices.BinarySearchFunc(g.paths, p, func(a, b string) int { return keyOf(a).compare(keyOf(b)) })
			sum += g.sizes[k]
		}
		if sum != group.Size {
			t.Errorf("a group's size is %d, its paths' %d", group.Size, sum)
		}
		size += sum
		all = append(all, group.Paths...)
	}
	slices.SortFunc(all, func(a, b string) int { return keyOf(a).compare(keyOf(b)) })
	if !slices.Equal(all, g.paths) {
		t.Errorf("the groups hold %d paths, the graph has %d, or not the same", len(all), g.Len())
	}
	if size != g.Size() {
		t.Errorf("the groups have %d bytes, the graph %d", size, g.Size())
	}
}
