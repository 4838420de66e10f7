package layering

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func pathsOf(groups []Group) [][]string {
	var all [][]string
	for _, g := range groups {
		all = append(all, g.Paths)
	}
	return all
}

// An image that is built again in the knowledge of itself stays as it is.
func TestPreviousOfItself(t *testing.T) {
	forRandomGraphs(t, func(t *testing.T, r *rand.Rand, nodes []Node, o Options) {
		g := mustGraph(t, nodes)
		o.MinSize, o.Pins = 0, nil
		first := plan(t, g, o)
		o.Previous = pathsOf(first)
		if again := plan(t, g, o); fmt.Sprint(first) != fmt.Sprint(again) {
			t.Fatalf("%+v\nfirst %q\nagain %q", o.Strategy, namesOf(first), namesOf(again))
		}
	})
}

// Whatever the image before was, a plan stays a plan.
func TestPreviousKeepsBudget(t *testing.T) {
	forRandomGraphs(t, func(t *testing.T, r *rand.Rand, nodes []Node, o Options) {
		g := mustGraph(t, nodes)
		before := plan(t, g, Options{MaxLayers: 1 + r.IntN(100)})
		o.Previous = append(pathsOf(before), nil, []string{"/not/there"}, before[0].Paths)
		changed := rehash(nodes, r.IntN(len(nodes)), r.Uint64())
		checkPartition(t, mustGraph(t, changed), plan(t, mustGraph(t, changed), o), o.MaxLayers)
	})
}

// Hosts pull less of a plan that knows the image before it, summed up over
// random closures in which paths come, grow and change: beyond what is new a
// tenth less at least.
func TestPreviousSavesPulls(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var fresh, blind, knowing int64
	for range 40 {
		nodes := randomNodes(r, 40+r.IntN(100))
		o := Options{MaxLayers: 5 + r.IntN(30)}
		before := plan(t, mustGraph(t, nodes), o)
		nodes = rehash(nodes, r.IntN(len(nodes)), r.Uint64())
		for i := range nodes {
			if r.IntN(20) == 0 {
				nodes[i].Size += 1 + r.Int64N(1+nodes[i].Size)
				nodes = rehash(nodes, i, r.Uint64())
			}
		}
		nodes = append(nodes, Node{testPath(fmt.Sprint("new-", r.Uint32())), r.Int64N(50_000_000), []string{nodes[0].Path}})
		g := mustGraph(t, nodes)
		had := strings.Join(slices.Concat(pathsOf(before)...), " ")
		for _, n := range nodes {
			if !strings.Contains(had, n.Path) {
				fresh += n.Size
			}
		}
		blind += pulled(before, plan(t, g, o))
		o.Previous = pathsOf(before)
		knowing += pulled(before, plan(t, g, o))
	}
	t.Logf("%d bytes are new; %d are pulled without, %d with the image before", fresh, blind, knowing)
	if knowing-fresh > (blind-fresh)/2 {
		t.Errorf("%d bytes are pulled, and %d without knowledge of the image before, of which %d are new", knowing, blind, fresh)
	}
}

func pulled(before, after []Group) (bytes int64) {
	had := map[string]bool{}
	for _, g := range before {
		had[strings.Join(g.Paths, " ")] = true
	}
	for _, g := range after {
		if !had[strings.Join(g.Paths, " ")] {
			bytes += g.Size
		}
	}
	return bytes
}

// A layer that mixes what is stable with what changes all the time is given up,
// and kept if to pull it anew costs more than it is expected to.
func TestPreviousIsGivenUp(t *testing.T) {
	g := graphOf(t, "app 1000000", "base 100000000", "libs 100000000")
	for rate, want := range map[float64]string{0.9: "app, base, libs", 0.05: "app base, libs"} {
		rates := &Rates{Default: 0.03, Packages: map[string]Rate{
			"app": {Rate: rate, Builds: 100}, "base": {Rate: 0.001, Builds: 100}, "libs": {Rate: 0.001, Builds: 100},
		}}
		o := Options{MaxLayers: 3, Rates: rates, Previous: [][]string{{testPath("app"), testPath("base")}, {testPath("libs")}}}
		got := namesOf(plan(t, g, o))
		slices.Sort(got)
		if strings.Join(got, ", ") != want {
			t.Errorf("app is updated with probability %v: %q, want %s", rate, got, want)
		}
	}
}

func TestObserve(t *testing.T) {
	g := graphOf(t, "app-2 10 lib-1@new", "lib-1@new 20 libc-3", "libc-3 30", "tool-5 40 libc-3", "novel-1 50")
	previous := [][]string{{testPath("app-1"), testPath("lib-1")}, {testPath("libc-3"), testPath("tool-4")}}
	got := g.observe(previous, nil)
	var names []string
	for name, r := range got.Packages {
		if r.Builds != 1 || r.Updates != 1 || r.Rate < 1.0/(priorBuilds+1) || r.Rate > 0.1 {
			t.Errorf("%s: %+v", name, r)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if fmt.Sprint(names) != "[lib tool]" { // app was carried along, and novel is new
		t.Errorf("updated: %v", names)
	}
	known := &Rates{Default: 0.1, Packages: map[string]Rate{"lib": {Rate: 0.5, Builds: 9, Updates: 5}, "x": {Rate: 0.2}}}
	got = g.observe(previous, known)
	if r := got.Packages["lib"]; r.Builds != 10 || r.Updates != 6 || r.Rate <= 0.5 || r.Rate > 0.53 || got.Default != 0.1 || len(got.Packages) != 3 {
		t.Errorf("rates are %+v", got)
	}
	if len(known.Packages) != 2 {
		t.Error("the given rates have changed")
	}
	if g.observe(nil, nil) != nil {
		t.Error("there are rates of nothing")
	}
}

func TestPreviousStopsWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	nodes := randomNodes(rand.New(rand.NewPCG(1, 1)), 300)
	if _, err := Plan(ctx, mustGraph(t, nodes), Options{Previous: [][]string{{nodes[0].Path}}}); err == nil {
		t.Error("no error")
	}
}
