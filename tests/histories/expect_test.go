package histories

import (
	"testing"
	"time"

	"terrine/layering"
)

// TestExpectedPull holds what a plan is expected to cost against what its
// layers did cost, month by month, over the years from which its rates are.
// That the bursts of updates are of one shape for all is an approximation.
func TestExpectedPull(t *testing.T) {
	h, err := Load("testdata/server.json")
	if err != nil {
		t.Fatal(err)
	}
	january := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, from := range []int{2010, 2014, 2019} {
		images, err := h.At(Monthly(january(from), january(from+4)))
		if err != nil {
			t.Fatal(err)
		}
		rates, err := LearnFrom(images)
		if err != nil {
			t.Fatal(err)
		}
		groups, err := layering.Plan(t.Context(), images[0].Graph, layering.Options{MaxLayers: 20, Rates: rates})
		if err != nil {
			t.Fatal(err)
		}
		expected, err := layering.Expect(images[0].Graph, groups, rates)
		if err != nil {
			t.Fatal(err)
		}
		pull, chain := fetched(images, groups)
		t.Logf("from %d: pull %.1f MB a month, expected %.1f; chain %.1f, expected %.1f", from, pull/1e6, float64(expected.Pull)/1e6, chain/1e6, float64(expected.Chain)/1e6)
		for _, c := range []struct{ was, expected float64 }{{pull, float64(expected.Pull)}, {chain, float64(expected.Chain)}} {
			if c.expected < 0.8*c.was || c.expected > 1.2*c.was {
				t.Errorf("from %d: it was %.0f bytes a month, expected %.0f", from, c.was, c.expected)
			}
		}
	}
}

// fetched returns the mean bytes of those of groups, the layers of the first of
// images, that changed from one image to the next, and of all above the first
// such.
func fetched(images []Image, groups []layering.Group) (pull, chain float64) {
	number := map[string]int{}
	for i, n := range images[0].Nodes { // of which the order is that of all others
		number[n.Path] = i
	}
	for _, image := range images[1:] {
		above := false
		for _, g := range groups {
			changed := false
			for _, p := range g.Paths {
				changed = changed || image.Changed[number[p]]
			}
			if changed {
				pull += float64(g.Size)
			}
			if above = above || changed; above {
				chain += float64(g.Size)
			}
		}
	}
	n := float64(len(images) - 1)
	return pull / n, chain / n
}
