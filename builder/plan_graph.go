package builder

import (
	"context"
	"time"

	"terrine/builder/layer"
	"terrine/layering"
	"terrine/store"
)

// NewGraphPlan is PlanGraph for JoinPlans, whose errors call the plan by a name.
// Such a plan has no root layer: nothing can be built of it.
func NewGraphPlan(ctx context.Context, name string, closure *store.Closure, o layering.Options) (*Plan, error) {
	spec := defaults()
	spec.Name, spec.MaxLayers = name, o.MaxLayers+1
	if o.MaxLayers == 0 {
		spec.MaxLayers = layering.DefaultMaxLayers + 1
	}
	spec.Layering = Layering{Strategy: o.Strategy, Groups: o.Groups, Pins: o.Pins, MinSize: o.MinSize, ChainWeight: o.ChainWeight}
	p := &Plan{spec: spec, policy: layer.Policy{Owner: spec.owner(time.Now)}, layering: o}
	var err error
	if p.objects, err = objectsOf(closure); err != nil {
		return nil, err
	}
	p.Layers, err = PlanGraph(ctx, closure, o)
	return p, err
}

// PlanGraph divides a closure of which only the references graph is known, as
// NewPlan would that of a spec with the default owner. There is no root layer
// here: all of o.MaxLayers are for store objects. The objects of the result
// have no Dir.
func PlanGraph(ctx context.Context, closure *store.Closure, o layering.Options) ([]PlannedLayer, error) {
	objects, err := objectsOf(closure)
	if err != nil {
		return nil, err
	}
	groups, err := divide(ctx, closure, o)
	return plannedLayers(objects, layer.Policy{Owner: defaults().owner(time.Now)}, groups), err
}
