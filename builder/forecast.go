package builder

import (
	"context"

	"terrine/layering"
	"terrine/store"
)

// Forecast is what the layers of a plan are expected to cost hosts, and why.
type Forecast struct {
	// Cost is that of the whole plan.
	Cost layering.Cost
	// Layers explain the layers of store paths, one by one.
	Layers []layering.Explanation
	// WithoutRates is what the plan that is made without rates would cost when
	// packages are updated as often as the rates say; nil for a plan without.
	WithoutRates *layering.Cost
}

// Forecast explains the layers of the plan.
func (p *Plan) Forecast(ctx context.Context) (*Forecast, error) {
	f, graph, err := forecast(p.Closure(), p.Layers, p.layering.Rates)
	if err != nil || p.given { // rates had no part in layers that were given
		return f, err
	}
	return f, f.forget(ctx, graph, p.layering)
}

// ForecastLayers explains layers that PlanGraph made of closure with o.
func ForecastLayers(ctx context.Context, closure *store.Closure, layers []PlannedLayer, o layering.Options) (*Forecast, error) {
	f, graph, err := forecast(closure, layers, o.Rates)
	if err != nil {
		return nil, err
	}
	return f, f.forget(ctx, graph, o)
}

func forecast(closure *store.Closure, layers []PlannedLayer, rates *layering.Rates) (*Forecast, *layering.Graph, error) {
	graph, err := newGraph(closure)
	if err != nil {
		return nil, nil, err
	}
	groups := dividedInto(layers)
	f := &Forecast{}
	if f.Layers, err = layering.Explain(graph, groups, rates); err != nil {
		return nil, nil, err
	}
	f.Cost, err = layering.Expect(graph, groups, rates)
	return f, graph, err
}

// forget finds out what the plan without rates would cost, if o has any.
func (f *Forecast) forget(ctx context.Context, graph *layering.Graph, o layering.Options) error {
	if o.Rates == nil {
		return nil
	}
	rates := o.Rates
	o.Rates = nil
	groups, err := layering.Plan(ctx, graph, o)
	if err != nil {
		return err
	}
	without, err := layering.Expect(graph, groups, rates)
	f.WithoutRates = &without
	return err
}

// dividedInto returns the groups that were made layers of.
func dividedInto(layers []PlannedLayer) []layering.Group {
	groups := make([]layering.Group, len(layers))
	for i := range layers {
		l := &layers[i]
		groups[i] = layering.Group{Name: l.Name, Size: l.Size, Paths: texts(l.Paths())}
	}
	return groups
}
