package layering

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// horizon is how many builds ahead a plan is judged when there is an image
// before it, whose layers hosts have. A layer that they do not have costs its
// size now; each costs what is expected to be pulled of it in every build after
// that. It is short, as layouts do not last: once a layer changes, what is in it
// has to be pulled in any case and is laid out anew for nothing, so that all that
// a worse layer can cost is to be pulled in whole that one time. Half of the bytes
// of a Debian closure in 20 to 60 layers are in layers that change every eight to
// ten builds, and layers worth breaking up change sooner. From 1 to 8 the replays
// in tests/histories come out alike.
const horizon = 4

// mostTrials is how many plans are made, beside the one with nothing kept, to
// find out how much to keep; fewTrials, from manyPaths on, where a plan takes long.
const (
	mostTrials = 6
	fewTrials  = 2
	manyPaths  = 1024
)

// keeping makes a strategy that keeps groups of the image before where that is
// cheaper than what the given strategy makes of them, in pull and chain, by the
// model of update-cost.
func keeping(previous [][]string, divide strategy) strategy {
	return func(ctx context.Context, p *problem) ([]part, error) {
		best, err := divide(ctx, p)
		if err != nil {
			return nil, err
		}
		k := newKeeper(p, previous)
		if len(k.groups) == 0 {
			return best, nil
		}
		k.rank(best)
		best, least := k.inBestOrder(best)
		for _, n := range trials(min(len(k.groups), p.budget-len(p.pinned)), len(p.free)) {
			parts, err := k.plan(ctx, divide, k.groups[:n])
			if err != nil {
				return nil, err
			}
			if parts == nil {
				continue
			}
			if parts, cost := k.inBestOrder(parts); cost < least {
				best, least = parts, cost
			}
		}
		return best, nil
	}
}

// trials returns how many groups to keep in each trial, the most first: each
// time twice as many fewer. The largest closures have time for one trial only.
func trials(most, paths int) []int {
	counts := []int{most}
	tries := mostTrials
	switch {
	case paths > mostRefined:
		tries = 1
	case paths > manyPaths:
		tries = fewTrials
	}
	for less := 1; less < most && len(counts) < tries; less *= 2 {
		counts = append(counts, most-less)
	}
	return counts
}

// keeper knows the image before.
type keeper struct {
	p      *problem
	groups [][]int32 // those that can be kept: all of their paths are there, and free
	place  map[int32]int
	sizes  []int
}

// newKeeper looks for each group of the image before in today's closure.
func newKeeper(p *problem, previous [][]string) *keeper {
	k := &keeper{p: p, place: make(map[int32]int), sizes: make([]int, len(previous))}
	index := make(map[string]int32, p.g.Len())
	for i, path := range p.g.paths {
		index[path] = int32(i)
	}
	free := make([]bool, p.g.Len())
	for _, i := range p.free {
		free[i] = true
	}
	for at, paths := range previous {
		group := make([]int32, 0, len(paths))
		able := true
		for _, path := range paths {
			i, here := index[path]
			if !here {
				able = false
				continue
			}
			if _, twice := k.place[i]; twice {
				able = false // an image of others may have a path in two layers
				continue
			}
			k.place[i] = at
			able = able && free[i]
			group = append(group, i)
		}
		k.sizes[at] = len(paths)
		if able && len(group) > 0 {
			slices.Sort(group)
			k.groups = append(k.groups, group)
		}
	}
	return k
}

// had returns the place in the image before of the layer that is the same set
// as part, or −1.
func (k *keeper) had(part []int32) int {
	at, known := k.place[part[0]]
	if !known || k.sizes[at] != len(part) {
		return -1
	}
	for _, i := range part[1:] {
		if other, known := k.place[i]; !known || other != at {
			return -1
		}
	}
	return at
}

// rank orders the groups by what is lost when they are given up, the most first:
// their size now, less what a plan without them would save in every build after.
func (k *keeper) rank(fresh []part) {
	rate := make([]float64, k.p.g.Len()) // of each path: of the layer that it would be in
	sets := membersOf(fresh)
	for s, weight := range k.p.model.weightsOf(sets) {
		for _, i := range sets[s] {
			rate[i] = changeProbability(weight)
		}
	}
	loss := make(map[int32]int64, len(k.groups)) // by the first path
	weights, sizes := k.p.model.weightsOf(k.groups), k.p.g.sizesOf(k.groups)
	for n, group := range k.groups {
		var fresh float64
		for _, i := range group {
			fresh += float64(float64(k.p.g.sizes[i]) * rate[i])
		}
		saved := float64(float64(sizes[n])*changeProbability(weights[n])) - fresh
		loss[group[0]] = sizes[n] - int64(math.Round(horizon*saved))
	}
	slices.SortStableFunc(k.groups, func(a, b []int32) int {
		return cmp.Or(cmp.Compare(loss[b[0]], loss[a[0]]), cmp.Compare(k.p.g.shape[a[0]], k.p.g.shape[b[0]]))
	})
}

// plan has the rest divided beside the given groups; nil if they leave no room.
func (k *keeper) plan(ctx context.Context, divide strategy, groups [][]int32) ([]part, error) {
	rest := *k.p
	rest.pinned = slices.Clone(k.p.pinned)
	taken := make([]bool, k.p.g.Len())
	for _, group := range groups {
		rest.pinned = append(rest.pinned, part{name: keptName, members: slices.Clone(group)})
		for _, i := range group {
			taken[i] = true
		}
	}
	rest.free = nil
	for _, i := range k.p.free {
		if !taken[i] {
			rest.free = append(rest.free, i)
		}
	}
	if left := rest.budget - len(rest.pinned); left < 0 || left == 0 && len(rest.free) > 0 {
		return nil, nil
	}
	parts, err := divide(ctx, &rest)
	for i := range parts {
		if parts[i].name == keptName {
			parts[i].name = ""
		}
	}
	return parts, err
}

// keptName marks the parts that are kept, for as long as strategies run.
const keptName = "\x00kept"

// inBestOrder returns parts in the order in which they cost least, and that
// cost: as the strategy has them, or with the bottom layers of the image before
// at the bottom, all that are still there or half of them, and so on.
func (k *keeper) inBestOrder(parts []part) ([]part, int64) {
	below := make([]int, 0, len(parts)) // the part that is layer 0, 1, … of the image before
	byPlace := make(map[int]int, len(parts))
	for i := range parts {
		slices.Sort(parts[i].members)
		if at := k.had(parts[i].members); at >= 0 {
			byPlace[at] = i
		}
	}
	for at := range k.sizes {
		i, same := byPlace[at]
		if !same {
			break
		}
		below = append(below, i)
	}
	best, least := parts, k.cost(parts)
	for n := len(below); n > 0; n /= 2 {
		order := make([]part, 0, len(parts))
		for _, i := range below[:n] {
			order = append(order, parts[i])
		}
		for i := range parts {
			if !slices.Contains(below[:n], i) {
				order = append(order, parts[i])
			}
		}
		if cost := k.cost(order); cost < least {
			best, least = order, cost
		}
	}
	return best, least
}

func membersOf(parts []part) [][]int32 {
	sets := make([][]int32, len(parts))
	for i := range parts {
		sets[i] = parts[i].members
	}
	return sets
}

// cost is what parts, in that order, cost hosts that have the image before: now,
// and as long as the horizon reaches.
func (k *keeper) cost(parts []part) int64 {
	sets := membersOf(parts)
	sizes := k.p.g.sizesOf(sets)
	weights := make([]int64, len(parts))
	first := make([]int64, len(parts)) // weight of the events that concern this layer and none below
	for _, class := range k.p.model.eventClasses(k.p.g.reachOf(sets)) {
		if i := firstBit(class.atoms, -1); i >= 0 {
			first[i] += class.weight
		}
		for w, b := range class.atoms {
			for i := range eachBit(b) {
				weights[w*64+i] += class.weight
			}
		}
	}
	var pull, chain, below int64
	same := true
	for i := range parts {
		at := k.had(sets[i])
		if at < 0 {
			pull += sizes[i] * 256
		}
		if same = same && at == i; !same {
			chain += sizes[i] * 256
		}
		below += first[i]
		pull += horizon * expected(sizes[i], weights[i])
		chain += horizon * expected(sizes[i], below)
	}
	return pull + int64(float64(chain)*k.p.costOptions().chain)
}
