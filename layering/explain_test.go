package layering

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// groupsOf makes groups of lines of names.
func groupsOf(g *Graph, lines ...string) []Group {
	groups := make([]Group, len(lines))
	for k, line := range lines {
		for _, name := range strings.Fields(line) {
			path := testPath(name)
			groups[k].Paths = append(groups[k].Paths, path)
			groups[k].Size += g.sizes[slices.Index(g.paths, path)]
		}
	}
	return groups
}

// The numbers are made with a pocket calculator. A layer with events of
// probabilities u1, u2 … stays with (1 + Σ ((1−u)^−¼ − 1))^−4:
//
//	libc 0.1, data 0.05
//	app, of libc and app: 1 − (1.02669 + 1.05737 − 1)^−4 = 0.27592
//	libc and data: 1 − (1.02669 + 1.01291 − 1)^−4 = 0.14387
//	all three: 1 − (1.08406 + 0.01291)^−4 = 0.30940
func TestExplainByHand(t *testing.T) {
	g := graphOf(t, "libc-2.1 1000000", "data-7 4000000", "app-1.0 2000000 libc-2.1")
	groups := groupsOf(g, "libc-2.1", "data-7", "app-1.0")
	rates := &Rates{Default: 0.03, Packages: map[string]Rate{"libc": {Rate: 0.1}, "app": {Rate: 0.2}, "data": {Rate: 0.05}}}
	cost, err := Expect(g, groups, rates)
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-4*math.Abs(want) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("pull", float64(cost.Pull), 100_000+200_000+551_848)
	near("chain", float64(cost.Chain), 100_000+575_468+618_804)
	layers, err := Explain(g, groups, rates)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range []float64{0.1, 0.05, 0.275924} {
		near("probability", layers[k].Probability, want)
		near("share", layers[k].Share, want*float64(groups[k].Size)/851_848)
		near("pull", float64(layers[k].Pull), want*float64(groups[k].Size))
	}
	causes := layers[2].Causes
	if len(causes) != 2 || causes[0].Package != "app" || causes[1].Package != "libc" {
		t.Fatalf("app changes by %+v", causes)
	}
	near("rate of app", causes[0].Rate, 0.2)
	near("share of app", causes[0].Share, 0.682492)
	near("rate of libc", causes[1].Rate, 0.1)
	near("share of libc", causes[1].Share, 0.317508)
}

func TestCommon(t *testing.T) {
	g := graphOf(t,
		"libc-2.36 9000000", "ssl-3.0.11 3000000 libc-2.36", "crypto-3.0.11 5000000 libc-2.36", "doc-3.0.11-man 10",
		"python-3 7000000 ssl-3.0.11 libc-2.36", "yaml-6 600 python-3", "toml-1 500 python-3",
		"perl-5 8000000 libc-2.36", "perl-6 8000000 libc-2.36", "zlib-1 700 libc-2.36", "bz-1 800 libc-2.36",
		"vim-9 6000000 zlib-1 bz-1 gpm-1", "gpm-1 50", "emacs-2 9000000 zlib-1 vim-9", "tz-1 100", "ca-1 200", "x-1 2000000 ca-1", "y-1 1")
	for _, c := range []struct {
		groups []string
		want   string
	}{
		{[]string{"tz-1"}, "one path, nothing uses it"},
		{[]string{"ca-1"}, "one path, only x uses it"},
		{[]string{"zlib-1"}, "one path"},
		{[]string{"libc-2.36", "vim-9", "perl-5", "tz-1", "python-3"}, "one path, used by 3 of the 4 other layers"},
		{[]string{"libc-2.36 tz-1", "vim-9", "perl-5", "python-3"}, "mostly libc, used by every other layer"},
		{[]string{"ssl-3.0.11 crypto-3.0.11 doc-3.0.11-man"}, "one source: crypto 3.0.11"},
		{[]string{"perl-5 perl-6"}, "one package: perl"},
		{[]string{"yaml-6 toml-1", "python-3"}, "all depend on python"},
		{[]string{"python-3 yaml-6 toml-1"}, "python and what depends on it"},
		{[]string{"emacs-2 vim-9"}, "emacs and what only it uses"},
		{[]string{"zlib-1 bz-1", "vim-9"}, "small, rarely updated"},
		{[]string{"tz-1 x-1", "vim-9"}, "no common dependency"},
		{[]string{"ssl-3.0.11 perl-5", "vim-9"}, "all depend on libc; 34 % of what changes them is common"},
		{[]string{"bz-1 gpm-1", "vim-9"}, "only vim uses them"},
		{[]string{"libc-2.36 zlib-1", "vim-9", "emacs-2", "python-3"}, "used by 2 of the 3 other layers"},
		{[]string{"libc-2.36 ssl-3.0.11", "python-3", "yaml-6", "toml-1"}, "used by every other layer"},
	} {
		explained, err := Explain(g, groupsOf(g, c.groups...), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := explained[0].Common; got != c.want {
			t.Errorf("%s: %q, want %q", c.groups, got, c.want)
		}
	}
	pinned := groupsOf(g, "tz-1 vim-9")
	pinned[0].Name = "mine"
	if explained, err := Explain(g, pinned, nil); err != nil || explained[0].Common != "together on request" {
		t.Errorf("a pinned group: %+v, %v", explained, err)
	}
}

func TestExplainRefuses(t *testing.T) {
	g := graphOf(t, "a 1", "b 2")
	for want, groups := range map[string][]Group{
		"group 1 has no paths":   {{}},
		"is not in the closure":  {{Paths: []string{testPath("c")}}},
		"is in group 1 too":      {{Paths: []string{testPath("a")}}, {Paths: []string{testPath("b"), testPath("a")}}},
		"group 1: /nix/store/":   {{Paths: []string{testPath("a"), testPath("a")}}},
		"group 2: /nix/store/00": {{Paths: []string{testPath("a")}}, {Paths: []string{"/nix/store/00"}}},
	} {
		if _, err := Explain(g, groups, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
		if _, err := Expect(g, groups, nil); err == nil {
			t.Errorf("Expect takes what Explain does not: %q", want)
		}
	}
	if cost, err := Expect(g, nil, nil); err != nil || cost != (Cost{}) {
		t.Errorf("no groups cost %+v, %v", cost, err)
	}
}

// Whatever the graph and the plan: shares sum to 1, chain is at least pull,
// probabilities are such, and nothing depends on the order of the nodes.
func TestExplainAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 60 {
		nodes := randomNodes(r, 1+r.IntN(80))
		g := mustGraph(t, nodes)
		groups := randomGroups(r, g)
		layers, err := Explain(g, groups, nil)
		if err != nil {
			t.Fatal(err)
		}
		cost, err := Expect(g, groups, nil)
		if err != nil {
			t.Fatal(err)
		}
		var share float64
		var pull int64
		for k, l := range layers {
			share += l.Share
			pull += l.Pull
			var causes float64
			for _, c := range l.Causes {
				causes += c.Share
			}
			if l.Common == "" || l.Probability <= 0 || l.Probability >= 1 || causes > 1.000001 || len(l.Causes) == 0 {
				t.Fatalf("round %d: layer %d of %d is %+v", round, k, len(groups), l)
			}
		}
		if math.Abs(share-1) > 1e-9 && pull > 0 {
			t.Fatalf("round %d: shares sum to %v", round, share)
		}
		if cost.Chain < cost.Pull || cost.Pull < pull || cost.Pull > pull+int64(len(groups)) {
			t.Fatalf("round %d: %+v, layers pull %d", round, cost, pull)
		}
		r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		again, err := Explain(mustGraph(t, nodes), groups, nil)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(layers) {
			t.Fatalf("round %d: in another order it is\n%v\nnot\n%v", round, again, layers)
		}
	}
}

// randomGroups puts some of g's paths into a few groups.
func randomGroups(r *rand.Rand, g *Graph) []Group {
	groups := make([]Group, 1+r.IntN(9))
	for i, p := range g.paths {
		if k := r.IntN(len(groups) + 1); k < len(groups) {
			groups[k].Paths = append(groups[k].Paths, p)
			groups[k].Size += g.sizes[i]
		}
	}
	groups = slices.DeleteFunc(groups, func(group Group) bool { return len(group.Paths) == 0 })
	if len(groups) == 0 {
		return []Group{{Paths: g.paths[:1], Size: g.sizes[0]}}
	}
	return groups
}

func TestExplainLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("20,000 paths")
	}
	g := mustGraph(t, randomNodes(rand.New(rand.NewPCG(1, 2)), 20_000))
	groups := plan(t, g, Options{Strategy: SizeFirst})
	began := time.Now()
	if _, err := Explain(g, groups, nil); err != nil {
		t.Fatal(err)
	}
	// A hundred times what it takes, for slow machines and -race.
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v", took)
	} else {
		t.Logf("took %v", took)
	}
}
