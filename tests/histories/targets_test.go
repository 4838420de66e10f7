package histories

import (
	"path/filepath"
	"testing"

	"terrine/layering"
)

// All budgets from 5 to 125 are for `make bench-layering`.
func TestTargets(t *testing.T) {
	h, err := Load(filepath.Join("testdata", "server.json"))
	if err != nil {
		t.Fatal(err)
	}
	misses, err := h.Misses(t.Context(), append([]int{LeastBudget, 30, 90, MostBudget}, TargetBudgets...))
	if err != nil {
		t.Fatal(err)
	}
	for _, miss := range misses {
		t.Error(miss)
	}
}

// Excess is told from a layout that is worse than its target.
func TestMissed(t *testing.T) {
	sizeFirst := Cost{Pull: 1.1, Chain: 1.5}
	for _, c := range []struct {
		budget int
		got    Cost
		want   int
	}{
		{10, Cost{1.029, 1.174}, 0}, {10, Cost{1.031, 1.174}, 1}, {10, Cost{1.031, 1.176}, 2},
		{11, Cost{1.1, 1.5}, 0}, {11, Cost{1.101, 1.5}, 1},
	} {
		if got := missed(c.budget, "", c.got, sizeFirst, targetPlain); len(got) != c.want {
			t.Errorf("%d layers, %v: missed %q, want %d", c.budget, c.got, got, c.want)
		}
	}
}

// Histories that nothing was tuned on: update-cost is better than size-first
// at each number of layers that has targets.
func TestOtherHistories(t *testing.T) {
	for _, name := range []string{"web", "tools"} {
		h, err := Load(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		images, err := h.At(Monthly(First, Last))
		if err != nil {
			t.Fatal(err)
		}
		var options []layering.Options
		for _, b := range TargetBudgets {
			options = append(options, layering.Options{Strategy: layering.SizeFirst, MaxLayers: b}, layering.Options{MaxLayers: b})
		}
		costs, err := ReplayAll(t.Context(), images, options)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range TargetBudgets {
			for _, miss := range missed(b, name, costs[2*i+1], costs[2*i], Cost{0.75, 0.95}) {
				t.Error(miss)
			}
		}
	}
}
