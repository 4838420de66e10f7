package histories

import (
	"context"

	"golang.org/x/sync/errgroup"

	"terrine/layering"
)

// Cost is what hosts fetch over a history, as multiples of the bytes of the
// paths that changed, which is the least that whole paths allow.
type Cost struct {
	Pull  float64 // layers that the image before did not have
	Chain float64 // all layers from the first that differs
}

// Replay plans each image and counts what a host that has the one before fetches.
func Replay(ctx context.Context, images []Image, o layering.Options) (Cost, error) {
	var t tally
	for k, image := range images {
		groups, err := layering.Plan(ctx, image.Graph, o)
		if err != nil {
			return Cost{}, err
		}
		t.add(image, groups, k > 0)
	}
	return t.cost(), nil
}

// ReplayAll replays images once for each of the options, two at a time.
func ReplayAll(ctx context.Context, images []Image, options []layering.Options) ([]Cost, error) {
	costs := make([]Cost, len(options))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, o := range options {
		group.Go(func() (err error) {
			costs[i], err = Replay(ctx, images, o)
			return err
		})
	}
	return costs, group.Wait()
}

// LearnFrom returns what the images say of how often packages are updated.
func LearnFrom(images []Image) (*layering.Rates, error) {
	graphs := make([]*layering.Graph, len(images))
	for i := range images {
		graphs[i] = images[i].Graph
	}
	return layering.Learn(graphs)
}

func key(g layering.Group) string {
	var k []byte
	for _, p := range g.Paths {
		k = append(append(k, p...), 0)
	}
	return string(k)
}
