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
	return ForecastLayers(ctx, p.Closure(), p.Layers, p.layering)
}

// ForecastLayers explains layers that PlanGraph made of closure with o.
func ForecastLayers(ctx context.Context, closure []*store.Info, layers []PlannedLayer, o layering.Options) (*Forecast, error) {
	graph, err := newGraph(objectsOf(closure))
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

// objectsOf and infosOf turn what is known of paths into objects that have no
// place on disk, and back.
func objectsOf(closure []*store.Info) []store.Object {
	objects := make([]store.Object, len(closure))
	for i, info := range closure {
		objects[i].Info = *info
	}
	return objects
}

func infosOf(objects []store.Object) []*store.Info {
	infos := make([]*store.Info, len(objects))
	for i := range objects {
		infos[i] = &objects[i].Info
	}
	return infos
}
