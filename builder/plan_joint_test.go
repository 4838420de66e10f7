package builder

import (
	"strings"
	"testing"

	"terrine/layering"
	"terrine/store/fault"
)

// TestJoinPlansRefuses what is for an image by itself, and names the plan that has it.
func TestJoinPlansRefuses(t *testing.T) {
	c := closureOf(manyInfos(t, 9)...)
	plan := func(name string, o layering.Options) *Plan {
		p, err := NewGraphPlan(t.Context(), name, c, o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const alone = "are for an image by itself"
	path := string(c.Path(0))
	for what, test := range map[string]struct {
		o    layering.Options
		want string
	}{
		"nothing":      {},
		"strategy":     {layering.Options{Strategy: layering.UpdateCost}, ""},
		"another":      {layering.Options{Strategy: layering.SizeFirst}, "the strategy is size-first: want update-cost"},
		"pins":         {layering.Options{Pins: []layering.Pin{{Glob: "*", Layer: "all"}}}, alone},
		"min size":     {layering.Options{MinSize: 1}, alone},
		"chain weight": {layering.Options{ChainWeight: 1}, alone},
		"previous":     {layering.Options{Previous: [][]string{{path}}}, alone},
		"base":         {layering.Options{Exclude: []string{path}}, alone},
		"rates":        {layering.Options{Rates: &layering.Rates{Default: 0.5}}, "the rates are not those of first"},
	} {
		cost, err := JoinPlans(t.Context(), []*Plan{plan("first", layering.Options{}), plan("second", test.o)})
		if test.want == "" {
			if err != nil || cost.Joint.Stored != cost.Union || cost.Alone.Stored != cost.Union {
				t.Errorf("%s: %+v, %v", what, cost, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "plan second with others: ") || !strings.HasSuffix(err.Error(), test.want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
	}
	plans := []*Plan{plan("a", layering.Options{MaxLayers: 3}), plan("b", layering.Options{MaxLayers: 5})}
	if _, err := JoinPlans(t.Context(), plans); err != nil || len(plans[0].Layers) != 3 || len(plans[1].Layers) > 5 {
		t.Errorf("%d and %d layers, want 3 and at most 5 (%v)", len(plans[0].Layers), len(plans[1].Layers), err)
	}
}
