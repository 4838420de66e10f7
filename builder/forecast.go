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
	// Rates have no part in layers that were given.
	return forecast(ctx, p.Closure(), p.Layers, p.layering, p.layering.Rates != nil && !p.given)
}

// ForecastLayers explains layers that PlanGraph made of closure with o.
func ForecastLayers(ctx context.Context, closure *store.Closure, layers []PlannedLayer, o layering.Options) (*Forecast, error) {
	return forecast(ctx, closure, layers, o, o.Rates != nil)
}

// forecast explains layers. rated says that they were made by the rates of o.
func forecast(ctx context.Context, closure *store.Closure, layers []PlannedLayer, o layering.Options, rated bool) (*Forecast, error) {
	graph, err := newGraph(closure)
	if err != nil {
		return nil, err
	}
	groups, rates := dividedInto(layers), o.Rates
	f := &Forecast{}
	if f.Layers, err = layering.Explain(graph, groups, rates); err != nil {
		return nil, err
	}
	if f.Cost, err = layering.Expect(graph, groups, rates); err != nil || !rated {
		return f, err
	}
	o.Rates = nil
	if groups, err = layering.Plan(ctx, graph, o); err != nil {
		return nil, err
	}
	without, err := layering.Expect(graph, groups, rates)
	f.WithoutRates = &without
	return f, err
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
