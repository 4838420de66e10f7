package histories

import (
	"context"
	"fmt"
	"slices"
	"time"

	"terrine/layering"
)

// The years over which layouts are compared, and those before, from which
// rates are learned.
var (
	First      = date(2015, 1)
	Last       = date(2023, 6)
	LearnFirst = date(2010, 1)
	LearnLast  = date(2014, 12)
)

func date(year int, month time.Month) time.Time {
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// What update-cost may exceed the bound by at most, as parts of what
// size-first does, at the budgets of TargetBudgets. At all others from
// LeastBudget to MostBudget it must not exceed what size-first does.
var (
	targetPlain   = Cost{Pull: 0.3, Chain: 0.35}
	targetLearned = Cost{Pull: 0.22, Chain: 0.2}
)

// TargetBudgets are the numbers of layers for which there are targets.
var TargetBudgets = []int{10, 20, 40, 60}

// LeastBudget and MostBudget are the range in which update-cost is never worse
// than size-first.
const (
	LeastBudget = 5
	MostBudget  = 125
)

// Misses replays h monthly and returns a line for each target that update-cost
// misses at one of the budgets.
func (h *History) Misses(ctx context.Context, budgets []int) ([]string, error) {
	images, err := h.At(Monthly(First, Last))
	if err != nil {
		return nil, err
	}
	before, err := h.At(Monthly(LearnFirst, LearnLast))
	if err != nil {
		return nil, err
	}
	rates, err := LearnFrom(before)
	if err != nil {
		return nil, err
	}
	var options []layering.Options
	for _, b := range budgets {
		options = append(options, layering.Options{Strategy: layering.SizeFirst, MaxLayers: b},
			layering.Options{MaxLayers: b}, layering.Options{MaxLayers: b, Rates: rates})
	}
	costs, err := ReplayAll(ctx, images, options)
	if err != nil {
		return nil, err
	}
	var misses []string
	for i, b := range budgets {
		sizeFirst, plain, learned := costs[3*i], costs[3*i+1], costs[3*i+2]
		misses = append(misses, missed(b, "without rates", plain, sizeFirst, targetPlain)...)
		misses = append(misses, missed(b, "with rates", learned, sizeFirst, targetLearned)...)
	}
	return misses, nil
}

func missed(budget int, what string, got, sizeFirst, target Cost) (misses []string) {
	if !slices.Contains(TargetBudgets, budget) {
		target = Cost{1, 1}
	}
	// What is left of rounding where both are at the bound.
	const epsilon = 1e-9
	check := func(measure string, got, sizeFirst, target float64) {
		if got-1 > target*(sizeFirst-1)+epsilon {
			misses = append(misses, fmt.Sprintf("%d layers, %s: %s is %.4f over the bound, size-first %.4f: want at most %.2f of that",
				budget, what, measure, got-1, sizeFirst-1, target))
		}
	}
	check("pull", got.Pull, sizeFirst.Pull, target.Pull)
	check("chain", got.Chain, sizeFirst.Chain, target.Chain)
	return misses
}
