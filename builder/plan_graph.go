package builder

import (
	"context"
	"time"

	"terrine/builder/layer"
	"terrine/layering"
	"terrine/store"
)

// PlanGraph divides a closure of which only the references graph is known, as
// NewPlan would that of a spec with the default owner. There is no root layer
// here: all of o.MaxLayers are for store objects. The objects of the result
// have no Dir.
func PlanGraph(ctx context.Context, closure []*store.Info, o layering.Options) ([]PlannedLayer, error) {
	objects := objectsOf(closure)
	if err := oneStoreDir(objects); err != nil {
		return nil, err
	}
	return divide(ctx, objects, layer.Policy{Owner: defaults().owner(time.Now)}, o)
}
