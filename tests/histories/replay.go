package histories

import (
	"context"

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
	var changed, pull, chain float64
	var before []layering.Group
	for k, image := range images {
		groups, err := layering.Plan(ctx, image.Graph, o)
		if err != nil {
			return Cost{}, err
		}
		if k > 0 {
			had := make(map[string]bool, len(before))
			for _, g := range before {
				had[key(g)] = true
			}
			same := true
			for i, g := range groups {
				if same = same && i < len(before) && key(before[i]) == key(g); !same {
					chain += float64(g.Size)
				}
				if !had[key(g)] {
					pull += float64(g.Size)
				}
			}
			for i, n := range image.Nodes {
				if image.Changed[i] {
					changed += float64(n.Size)
				}
			}
		}
		before = groups
	}
	return Cost{pull / changed, chain / changed}, nil
}

func key(g layering.Group) string {
	var k []byte
	for _, p := range g.Paths {
		k = append(append(k, p...), 0)
	}
	return string(k)
}
