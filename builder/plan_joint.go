package builder

import (
	"context"
	"fmt"
	"reflect"

	"github.com/opencontainers/go-digest"

	"terrine/layering"
	"terrine/store"
)

// JointCost is what layers of several images take, as sums of NAR sizes in
// bytes.
type JointCost struct {
	// Union is that of all store paths, each once.
	Union int64
	// Joint is of the layers that are shared, Alone of those that each image has
	// when it is planned by itself.
	Joint, Alone LayersCost
}

// LayersCost is what the layers of several images cost.
type LayersCost struct {
	// Stored is the size of all layers, each once.
	Stored int64
	// Pulled is what a host with all of the images is expected to pull again at
	// the next update, by the model of update-cost: each layer once.
	Pulled int64
}

// JoinPlans divides the closures of one or more plans anew, so that their layers
// are shared as far as possible, and changes the plans to that. It knows of the
// strategy update-cost and of rates, which have to be the same for all, and of no
// groups, pins, pipelines or minimum sizes: those are errors of class
// fault.Refused, as are owners and times that differ, since no layers would be the
// same.
func JoinPlans(ctx context.Context, plans []*Plan) (cost JointCost, err error) {
	images := make([]layering.Joint, len(plans))
	for i, p := range plans {
		if err := p.checkJoint(plans[0]); err != nil {
			return cost, refused(fmt.Errorf("plan %s with others: %w", p.spec.Name, err))
		}
		if p.spec.IncludeStorePaths {
			images[i].Graph, err = newGraph(p.objects.Closure)
		} else {
			images[i].Graph, err = newGraph(nil)
		}
		if err != nil {
			return cost, err
		}
		images[i].MaxLayers = p.spec.MaxLayers - 1
	}
	if cost.Alone, err = costOf(plans, images); err != nil {
		return cost, err
	}
	groups, err := layering.PlanJoint(ctx, images, plans[0].layering.Rates)
	if err != nil {
		return cost, refused(err)
	}
	for i, p := range plans {
		p.Layers = plannedLayers(p.objects, p.policy, groups[i])
	}
	cost.Union = unionOf(plans)
	cost.Joint, err = costOf(plans, images)
	return cost, err
}

// checkJoint tells whether p can share layers with first.
func (p *Plan) checkJoint(first *Plan) error {
	l := &p.spec.Layering
	switch {
	case p.policy != first.policy:
		return fmt.Errorf("owner or time of its files are not those of %s: no layer would be the same", first.spec.Name)
	case l.Strategy != "" && l.Strategy != layering.UpdateCost:
		return fmt.Errorf("the strategy is %s: want %s", l.Strategy, layering.UpdateCost)
	case len(l.Groups) > 0 || len(l.Pins) > 0 || l.MinSize != 0 || l.ChainWeight != 0 || p.layering.Pipeline != nil:
		return fmt.Errorf("groups, pins, a pipeline, a minimum size or a chain weight are for an image by itself")
	case len(p.layering.Previous) > 0 || len(p.layering.Exclude) > 0:
		return fmt.Errorf("a previous image and a base image are for an image by itself")
	case !reflect.DeepEqual(p.layering.Rates, first.layering.Rates):
		return fmt.Errorf("the rates are not those of %s", first.spec.Name)
	}
	return nil
}

// costOf sums up the layers of all plans, each key once.
func costOf(plans []*Plan, images []layering.Joint) (cost LayersCost, err error) {
	seen := map[digest.Digest]bool{}
	for i, p := range plans {
		explained, err := layering.Explain(images[i].Graph, dividedInto(p.Layers), p.layering.Rates)
		if err != nil {
			return cost, err
		}
		for k := range p.Layers {
			if l := &p.Layers[k]; !seen[l.Key] {
				seen[l.Key] = true
				cost.Stored += l.Size
				cost.Pulled += explained[k].Pull
			}
		}
	}
	return cost, nil
}

func unionOf(plans []*Plan) (bytes int64) {
	seen := map[store.Path]bool{}
	for _, p := range plans {
		for i := range p.Layers {
			objects := p.Layers[i].Objects
			for k := range objects.Len() {
				if o := objects.At(k); !seen[o.Path] {
					seen[o.Path] = true
					bytes += o.NARSize
				}
			}
		}
	}
	return bytes
}
