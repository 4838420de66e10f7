package builder

import (
	"context"

	"terrine/layering"
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
	return ForecastLayers(ctx, p.Layers, p.layering)
}

// ForecastLayers explains layers that PlanGraph made with o.
func ForecastLayers(ctx context.Context, layers []PlannedLayer, o layering.Options) (*Forecast, error) {
	graph, err := graphOf(layers)
	if err != nil {
		return nil, err
	}
	groups := make([]layering.Group, len(layers))
	for i := range layers {
		l := &layers[i]
		groups[i] = layering.Group{Name: l.Name, Size: l.Size}
		for _, path := range l.Paths() {
			groups[i].Paths = append(groups[i].Paths, string(path))
		}
	}
	f := &Forecast{}
	if f.Layers, err = layering.Explain(graph, groups, o.Rates); err != nil {
		return nil, err
	}
	if f.Cost, err = layering.Expect(graph, groups, o.Rates); err != nil || o.Rates == nil {
		return f, err
	}
	blind := o
	blind.Rates = nil
	if groups, err = layering.Plan(ctx, graph, blind); err != nil {
		return nil, err
	}
	without, err := layering.Expect(graph, groups, o.Rates)
	f.WithoutRates = &without
	return f, err
}

// graphOf returns the graph of the objects in layers, without references to
// what is in none of them.
func graphOf(layers []PlannedLayer) (*layering.Graph, error) {
	var nodes []layering.Node
	here := map[string]bool{}
	for i := range layers {
		for _, o := range layers[i].Objects {
			here[string(o.Path)] = true
		}
	}
	for i := range layers {
		for _, o := range layers[i].Objects {
			n := layering.Node{Path: string(o.Path), Size: o.NARSize}
			for _, ref := range o.References {
				if here[string(ref)] {
					n.References = append(n.References, string(ref))
				}
			}
			nodes = append(nodes, n)
		}
	}
	return layering.NewGraph(nodes)
}
