package histories

import (
	"context"
	"strings"

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
	return replay(ctx, images, o, false)
}

// ReplayPrevious is Replay with each plan made in the knowledge of the one before.
func ReplayPrevious(ctx context.Context, images []Image, o layering.Options) (Cost, error) {
	return replay(ctx, images, o, true)
}

func replay(ctx context.Context, images []Image, o layering.Options, known bool) (Cost, error) {
	var t tally
	for k, image := range images {
		if o.Previous = nil; known {
			for _, g := range t.before {
				o.Previous = append(o.Previous, g.Paths)
			}
		}
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

func key(g layering.Group) string { return strings.Join(g.Paths, "\x00") }
