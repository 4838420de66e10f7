package builder

import (
	"context"
	"fmt"
	"reflect"

	"terrine/layering"
)

// JointCost is what layers of several images take, each counted once, as sums
// of NAR sizes in bytes.
type JointCost struct {
	Union  int64 // of all store paths, each once
	Alone  int64 // of the layers before JoinPlans
	Stored int64 // of those after it
}

// JoinPlans divides the closures of several plans anew, so that their layers
// are shared as far as possible, and changes the plans to that. It knows of the
// strategy update-cost and of rates, which have to be the same for all, and of no
// groups, pins, pipelines or minimum sizes: those are errors, as are owners and
// times that differ, since no layers would be the same.
func JoinPlans(ctx context.Context, plans []*Plan) (cost JointCost, err error) {
	images := make([]layering.Joint, len(plans))
	before := make([][]PlannedLayer, len(plans))
	for i, p := range plans {
		if err := p.checkJoint(plans[0]); err != nil {
			return cost, refused(fmt.Errorf("plan %s with others: %w", p.spec.Name, err))
		}
		if p.spec.IncludeStorePaths {
			images[i].Graph, err = newGraph(p.objects)
		} else {
			images[i].Graph, err = newGraph(nil)
		}
		if err != nil {
			return cost, err
		}
		images[i].MaxLayers = p.spec.MaxLayers - 1
		before[i] = p.Layers
	}
	groups, err := layering.PlanJoint(ctx, images, plans[0].layering.Rates)
	if err != nil {
		return cost, refused(err)
	}
	after := make([][]PlannedLayer, len(plans))
	for i, p := range plans {
		p.Layers = plannedLayers(p.objects, p.policy, groups[i])
		after[i] = p.Layers
	}
	cost.Alone, cost.Stored = storedOf(before), storedOf(after)
	cost.Union = unionOf(after)
	return cost, nil
}

// checkJoint tells whether p can share layers with first.
func (p *Plan) checkJoint(first *Plan) error {
	l := &p.spec.Layering
	switch {
	case p.policy != first.policy:
		return fmt.Errorf("owner or time of its files are not those of %s: no layer would be the same", first.spec.Name)
	case l.Strategy != "" && l.Strategy != layering.UpdateCost:
		return fmt.Errorf("the strategy is %s: want %s", l.Strategy, layering.UpdateCost)
	case len(l.Groups) > 0 || len(l.Pins) > 0 || l.MinSize != 0 || p.layering.Pipeline != nil:
		return fmt.Errorf("groups, pins, a pipeline or a minimum size are for an image by itself")
	case len(p.layering.Previous) > 0 || len(p.layering.Exclude) > 0:
		return fmt.Errorf("a previous image and a base image are for an image by itself")
	case !reflect.DeepEqual(p.layering.Rates, first.layering.Rates):
		return fmt.Errorf("the rates are not those of %s", first.spec.Name)
	}
	return nil
}

// storedOf sums up layers, each key once.
func storedOf(images [][]PlannedLayer) (bytes int64) {
	seen := map[string]bool{}
	for _, layers := range images {
		for i := range layers {
			if key := layers[i].Key.String(); !seen[key] {
				seen[key] = true
				bytes += layers[i].Size
			}
		}
	}
	return bytes
}

func unionOf(images [][]PlannedLayer) (bytes int64) {
	seen := map[string]bool{}
	for _, layers := range images {
		for i := range layers {
			for _, o := range layers[i].Objects {
				if path := string(o.Path); !seen[path] {
					seen[path] = true
					bytes += o.NARSize
				}
			}
		}
	}
	return bytes
}
