package layering

import (
	"context"
	"math/big"
	"slices"
)

// popularity is grahamc's contest as nixpkgs ran it: the paths that most
// others lead to get a layer each, and the last layer takes all that remain.
//
// nixpkgs scores each path of the tree below every path, adding one for each
// level it passes. Summed up, the score of v is the number of ways to come to
// v from a root, plus the number of ways to come to each path that depends on
// v. Both grow exponentially (64 diamonds on top of each other overflow 64
// bits), so they are big integers.
func popularity(ctx context.Context, g *Graph, budget int) ([][]int32, error) {
	best, err := mostPopular(ctx, g, min(budget-1, g.Len()))
	if err != nil {
		return nil, err
	}
	layers := make([][]int32, 0, len(best)+1)
	alone := make([]bool, g.Len())
	for _, p := range best {
		layers = append(layers, []int32{p})
		alone[p] = true
	}
	var rest []int32
	for i := range alone {
		if !alone[i] {
			rest = append(rest, int32(i))
		}
	}
	if len(rest) > 0 {
		layers = append(layers, rest)
	}
	return layers, nil
}

// mostPopular returns the count paths with the highest scores, highest first,
// equal ones by name and hash.
//
// Exact scores need every path's whole set of users, too much for a large
// graph. So paths are scored in the order of an upper bound, and of equal ones by
// name and hash, in blocks, until the next could not be among those that are wanted
// even if its score were its bound.
func mostPopular(ctx context.Context, g *Graph, count int) ([]int32, error) {
	if count == 0 {
		return nil, nil
	}
	ways := g.waysFromRoots()
	bound := g.scoreBounds(ways)
	order := make([]int32, g.Len())
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return bound[b].Cmp(bound[a]) })

	var best []scored
	for at := 0; at < len(order); at += scoreBlock {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		next := order[at:min(at+scoreBlock, len(order))]
		if len(best) == count && best[count-1].compare(scored{next[0], bound[next[0]]}) < 0 {
			break
		}
		if best = append(best, g.scores(next, ways)...); len(best) >= count {
			slices.SortFunc(best, scored.compare)
			best = best[:count]
		}
	}
	paths := make([]int32, len(best))
	for i, s := range best {
		paths[i] = s.path
	}
	return paths, nil
}

type scored struct {
	path  int32
	score *big.Int
}

func (s scored) compare(o scored) int {
	if c := o.score.Cmp(s.score); c != 0 {
		return c
	}
	return int(s.path - o.path)
}

// waysFromRoots returns how many ways lead from roots down to each path.
func (g *Graph) waysFromRoots() []*big.Int {
	ways := make([]*big.Int, g.Len())
	for k := g.Len() - 1; k >= 0; k-- {
		i := g.topo[k]
		sum := new(big.Int)
		for _, user := range g.users.of(i) {
			sum.Add(sum, ways[user])
		}
		if len(g.users.of(i)) == 0 {
			sum.SetInt64(1)
		}
		ways[i] = sum
	}
	return ways
}

// scoreBounds returns for each path a number that its score cannot exceed: its
// ways plus those of all paths that are fewer steps below a root, counting
// the longest way; all that depend on it are among those.
func (g *Graph) scoreBounds(ways []*big.Int) []*big.Int {
	depth := make([]int32, g.Len())
	deepest := int32(0)
	for k := g.Len() - 1; k >= 0; k-- {
		i := g.topo[k]
		for _, user := range g.users.of(i) {
			depth[i] = max(depth[i], depth[user]+1)
		}
		deepest = max(deepest, depth[i])
	}
	above := make([]big.Int, deepest+2) // ways to all paths less deep
	for i, d := range depth {
		above[d+1].Add(&above[d+1], ways[i])
	}
	for d := range deepest + 1 {
		above[d+1].Add(&above[d+1], &above[d])
	}
	bound := make([]*big.Int, g.Len())
	for k := g.Len() - 1; k >= 0; k-- {
		i := g.topo[k]
		sum := new(big.Int)
		for _, user := range g.users.of(i) {
			if sum.Add(sum, bound[user]); sum.Cmp(&above[depth[i]]) > 0 {
				sum.Set(&above[depth[i]])
				break
			}
		}
		bound[i] = sum.Add(sum, ways[i])
	}
	return bound
}

// scores returns the exact scores of some paths, at most scoreBlock of them.
func (g *Graph) scores(paths []int32, ways []*big.Int) []scored {
	below := make([]pathSet, g.Len()) // which of paths are at or below each
	for k, p := range paths {
		setBit(below[p][:], int32(k))
	}
	// Paths that have the same ones below them are summed up first: high up
	// in a graph that is most of them.
	sums := make(map[pathSet]*big.Int)
	var order []pathSet
	for _, i := range g.topo {
		mine := &below[i]
		for _, ref := range g.refs.of(i) {
			for w, b := range below[ref] {
				mine[w] |= b
			}
		}
		sum := sums[*mine]
		if sum == nil {
			sum = new(big.Int)
			sums[*mine] = sum
			order = append(order, *mine)
		}
		sum.Add(sum, ways[i])
	}
	out := make([]scored, len(paths))
	for k, p := range paths {
		out[k] = scored{p, new(big.Int)}
	}
	for _, set := range order {
		for w, b := range set {
			for k := range eachBit(b) {
				s := out[w*64+k].score
				s.Add(s, sums[set])
			}
		}
	}
	return out
}

// scoreBlock is how many paths are scored in one pass over the graph: enough
// for most budgets, and four words a path.
const scoreBlock = 256

// pathSet is a set of the paths that are scored together.
type pathSet [scoreBlock / 64]uint64
