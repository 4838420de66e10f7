package layering

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestGroups(t *testing.T) {
	g := graphOf(t, "app-1 30 lib-2 glibc-2.38", "lib-2 40 glibc-2.38", "glibc-2.38 50", "icons 60", "doc 1")
	groups := plan(t, g, Options{
		MaxLayers: 4,
		Groups:    [][]string{{"glibc-*", "icons"}, {"nothing"}, {"*-[12]"}},
		Pins:      []Pin{{"*", "rest"}},
	})
	var got []string
	for _, group := range groups {
		got = append(got, group.Name+": "+namesOf([]Group{group})[0])
	}
	slices.Sort(got)
	if want := "group 1: glibc-2.38 icons, group 3: app-1 lib-2, rest: doc"; strings.Join(got, ", ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestGroupsRefused(t *testing.T) {
	g := graphOf(t, "a 1", "b 1", "c 1")
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Groups: [][]string{{"a"}, {}}}, "plan layers: group 2 has no globs"},
		{Options{Groups: [][]string{{"a"}, {"b", "["}}}, `plan layers: group 2: glob 2: malformed pattern "["`},
		{Options{Groups: [][]string{{"a"}}, Pins: []Pin{{"b", "x"}, {"[", "x"}}}, `plan layers: pin 2: malformed pattern "["`},
		{Options{Groups: [][]string{{"a"}, {"b"}}, MaxLayers: 1}, "plan layers: 2 pinned layers leave no room in a budget of 1"},
		{Options{Groups: [][]string{{"a"}, {"b"}}, MaxLayers: 2}, "leave no room"},
	} {
		if _, err := Plan(context.Background(), g, test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %s", test.o, err, test.want)
		}
	}
	if got := plan(t, g, Options{Groups: [][]string{{"a"}, {"b", "c"}}, MaxLayers: 2}); len(got) != 2 {
		t.Errorf("groups that hold everything: %v", got)
	}
}

// What the image has already is in no layer, whatever else is asked, and all
// else is in one.
func TestExclude(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, strategy := range Strategies() {
		for range 20 {
			nodes := randomNodes(r, 1+r.IntN(60))
			g := mustGraph(t, nodes)
			excluded := map[string]bool{}
			o := Options{Strategy: strategy, MaxLayers: 3 + r.IntN(20), Pins: []Pin{{"*a*", "a"}}}
			for _, n := range nodes {
				if r.IntN(3) == 0 {
					excluded[n.Path] = true
					o.Exclude = append(o.Exclude, n.Path)
				}
			}
			seen := 0
			for _, group := range plan(t, g, o) {
				for _, path := range group.Paths {
					if seen++; excluded[path] {
						t.Fatalf("%s: %s is in a layer", strategy, path)
					}
				}
			}
			if seen != len(nodes)-len(excluded) {
				t.Fatalf("%s: %d paths in layers, want %d", strategy, seen, len(nodes)-len(excluded))
			}
		}
	}
	g := graphOf(t, "a 1")
	if got := plan(t, g, Options{Exclude: []string{testPath("a")}}); fmt.Sprint(got) != "[]" {
		t.Errorf("nothing left: %v", got)
	}
}
