package histories

import (
	"context"
	"path/filepath"
	"testing"
)

// All budgets from 5 to 125 are for `make bench-layering`.
func TestTargets(t *testing.T) {
	h, err := Load(filepath.Join("testdata", "server.json"))
	if err != nil {
		t.Fatal(err)
	}
	misses, err := h.Misses(context.Background(), append([]int{LeastBudget, 30, 90, MostBudget}, TargetBudgets...))
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
