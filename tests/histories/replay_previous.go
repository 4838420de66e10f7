package histories

import (
	"context"

	"terrine/layering"
)

// ReplayPrevious is Replay with each plan made in the knowledge of the one before.
func ReplayPrevious(ctx context.Context, images []Image, o layering.Options) (Cost, error) {
	var t tally
	for k, image := range images {
		groups, err := layering.Plan(ctx, image.Graph, o)
		if err != nil {
			return Cost{}, err
		}
		t.add(image, groups, k > 0)
		o.Previous = nil
		for _, g := range groups {
			o.Previous = append(o.Previous, g.Paths)
		}
	}
	return t.cost(), nil
}

// tally counts what a host fetches that has the image before.
type tally struct {
	changed, pull, chain float64
	before               []layering.Group
}

func (t *tally) add(image Image, groups []layering.Group, counts bool) {
	had := make(map[string]bool, len(t.before))
	for _, g := range t.before {
		had[key(g)] = true
	}
	same := true
	for i, g := range groups {
		if !counts {
			break
		}
		if same = same && i < len(t.before) && key(t.before[i]) == key(g); !same {
			t.chain += float64(g.Size)
		}
		if !had[key(g)] {
			t.pull += float64(g.Size)
		}
	}
	for i, n := range image.Nodes {
		if counts && image.Changed[i] {
			t.changed += float64(n.Size)
		}
	}
	t.before = groups
}

func (t *tally) cost() Cost { return Cost{t.pull / t.changed, t.chain / t.changed} }
