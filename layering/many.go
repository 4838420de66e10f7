package layering

import (
	"cmp"
	"context"
	"slices"
)

// loners is how many paths are atoms by themselves where there are more than
// mostRefined: enough for an image's layers, with enough atoms left for the others.
const loners = 400

// apart makes at most mostAtoms atoms of more than mostRefined paths. In as few layers
// as an image has, most of so many change each time, whatever they are with. What
// can be saved is saved on large paths that seldom change. So those of which most
// bytes are expected to stay are atoms by themselves, and the others are cut into
// pieces in the order of their probability to change.
func (p *problem) apart() [][]int32 {
	s, own := p.model.newSketches()
	weights, stays := make([]int64, p.g.Len()), make([]int64, p.g.Len())
	var buf [sketchSize + 1]int32
	for i, closure := range s.closures(p.g, own) {
		weights[i] = s.weightOf(closure.events(&buf))
		stays[i] = 256*p.g.sizes[i] - expected(p.g.sizes[i], weights[i])
	}
	paths := p.freeByShape()
	slices.SortStableFunc(paths, func(a, b int32) int { return cmp.Compare(stays[b], stays[a]) })
	atoms, rest := alone(paths[:loners]), paths[loners:]
	slices.SortStableFunc(rest, func(a, b int32) int { return cmp.Compare(weights[a], weights[b]) })
	return append(atoms, p.g.cut(rest, mostAtoms-loners)...)
}

// cut cuts paths into at most n pieces of about one size.
func (g *Graph) cut(paths []int32, n int) [][]int32 {
	var total, done int64
	for _, i := range paths {
		total += g.sizes[i]
	}
	var pieces [][]int32
	start := 0
	for at, i := range paths {
		done += g.sizes[i]
		due := total / int64(n) * int64(len(pieces)+1)
		if at == len(paths)-1 || done >= due && len(pieces) < n-1 {
			pieces = append(pieces, paths[start:at+1:at+1])
			start = at + 1
		}
	}
	return pieces
}

const (
	// manyPasses is how often refineMany goes over all paths at most.
	manyPasses = 8

	// leastOfPass is the part of the whole cost that a pass has to gain for
	// another to follow, which would gain a fifth of that.
	leastOfPass = 500

	// mostSteps is how many steps of a cover's searches passes may take. A million
	// references take 1<<27 in 127 layers. But where nearly nothing ever changes, or
	// many paths refer to the same few, they grow with the square of the paths.
	mostSteps = 1 << 28
)

// refineMany makes the same layers of single paths, and moves those. Paths that
// share a layer afterwards are one atom.
func (p *problem) refineMany(ctx context.Context, rough *partition, opt costOptions) (*partition, error) {
	c := p.model.newCover(rough.sets(), opt.most)
	paths := p.freeByShape()
	for range manyPasses {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before := c.cost()
		c.pass(paths)
		if before-c.cost() < before/leastOfPass {
			break
		}
	}
	in := p.model.newInstance(c.sets(), opt)
	return in.newPartition(alone(in.numbers())), nil
}

// freeByShape returns the free paths in the order of shape.
func (p *problem) freeByShape() []int32 {
	free := slices.Clone(p.free)
	slices.SortFunc(free, func(a, b int32) int { return cmp.Compare(p.g.shape[a], p.g.shape[b]) })
	return free
}
