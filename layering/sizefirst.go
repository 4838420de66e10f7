package layering

import (
	"cmp"
	"context"
	"slices"
)

// sizeFirst is the rule of nixpkgs' auto-layer. The largest paths become
// primary one after another; each path belongs to the nearest primaries that
// depend on it, and paths with the same set of them share a layer. It stops
// before the primary that would make more than budget layers.
//
// nixpkgs leaves ties to the order of its input and of Python's sets. Here,
// of equal sizes the first by name and hash goes first, and layers whose
// closures have one size stand in the order of their first paths.
func sizeFirst(ctx context.Context, g *Graph, budget int) ([][]int32, error) {
	bySize := make([]int32, g.Len())
	for i := range bySize {
		bySize[i] = int32(i)
	}
	slices.SortFunc(bySize, func(a, b int32) int {
		return cmp.Or(cmp.Compare(g.sizes[b], g.sizes[a]), cmp.Compare(a, b))
	})
	s := newPrimarySplit(g)
	for _, p := range bySize {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !s.take(p, budget) {
			break
		}
	}
	return s.byClosureSize(), nil
}

// primarySplit is a division of the paths by identity, the set of primaries
// that a path belongs to. Identities are numbered as they turn up; few are in
// use at a time, at most as many as there are layers.
type primarySplit struct {
	g         *Graph
	primaries []int32
	below     [][]uint64 // for each primary, which paths it depends on
	sets      [][]int32  // identity → positions in primaries, ascending
	byKey     map[string]int32
	id        []int32 // path → identity
	count     []int32 // identity → number of paths
	inUse     int     // identities with a path
	stack     []int32
	changes   []change
}

// change is a step to take back when a primary turns out to be one too many.
type change struct{ path, old int32 }

func newPrimarySplit(g *Graph) *primarySplit {
	s := &primarySplit{g: g, byKey: map[string]int32{}, id: make([]int32, g.Len())}
	s.count[s.identity(nil)] = int32(g.Len())
	if g.Len() > 0 {
		s.inUse = 1
	}
	return s
}

// identity returns the number of a set of primaries.
func (s *primarySplit) identity(set []int32) int32 {
	key := make([]byte, 0, 4*len(set))
	for _, p := range set {
		key = append(key, byte(p), byte(p>>8), byte(p>>16), byte(p>>24))
	}
	if id, ok := s.byKey[string(key)]; ok {
		return id
	}
	id := int32(len(s.sets))
	s.byKey[string(key)] = id
	s.sets = append(s.sets, slices.Clone(set))
	s.count = append(s.count, 0)
	return id
}

func (s *primarySplit) move(path, to int32) {
	from := s.id[path]
	if from == to {
		return
	}
	s.id[path] = to
	if s.count[from]--; s.count[from] == 0 {
		s.inUse--
	}
	if s.count[to]++; s.count[to] == 1 {
		s.inUse++
	}
}

// take makes p a primary. It reports false, and leaves the split as it was,
// if that would make more than limit identities.
func (s *primarySplit) take(p int32, limit int) bool {
	n := int32(len(s.primaries))
	deps := s.dependencies(p)
	s.changes = s.changes[:0]
	s.record(p, s.identity([]int32{n}))

	// What becomes of an identity is the same for every dependency that has it.
	next := make(map[int32]int32)
	for word, bits := range deps {
		for b := range eachBit(bits) {
			path := int32(word*64 + b)
			old := s.id[path]
			to, known := next[old]
			if !known {
				to = s.identity(s.withPrimary(s.sets[old], p, deps))
				next[old] = to
			}
			s.record(path, to)
		}
	}
	if s.inUse > limit {
		for _, c := range slices.Backward(s.changes) {
			s.move(c.path, c.old)
		}
		return false
	}
	s.primaries = append(s.primaries, p)
	s.below = append(s.below, deps)
	return true
}

func (s *primarySplit) record(path, to int32) {
	s.changes = append(s.changes, change{path, s.id[path]})
	s.move(path, to)
}

// withPrimary is the rule itself: primaries that use p give way to it, and it
// joins unless one of those that remain is nearer still, being used by p.
func (s *primarySplit) withPrimary(set []int32, p int32, deps []uint64) []int32 {
	kept := make([]int32, 0, len(set)+1)
	nearer := false
	for _, q := range set {
		if hasBit(s.below[q], p) {
			continue
		}
		kept = append(kept, q)
		nearer = nearer || hasBit(deps, s.primaries[q])
	}
	if !nearer {
		kept = append(kept, int32(len(s.primaries)))
	}
	return kept
}

// dependencies returns the set of paths that p depends on, without p.
func (s *primarySplit) dependencies(p int32) []uint64 {
	seen := make([]uint64, (s.g.Len()+63)/64)
	s.stack = append(s.stack[:0], p)
	for len(s.stack) > 0 {
		at := s.stack[len(s.stack)-1]
		s.stack = s.stack[:len(s.stack)-1]
		for _, ref := range s.g.refs.of(at) {
			if !hasBit(seen, ref) {
				setBit(seen, ref)
				s.stack = append(s.stack, ref)
			}
		}
	}
	return seen
}

// byClosureSize returns the layers, the one with the smallest closure first.
func (s *primarySplit) byClosureSize() [][]int32 {
	layerOf := make(map[int32]int)
	var layers [][]int32
	for path, id := range s.id {
		at, ok := layerOf[id]
		if !ok {
			at = len(layers)
			layerOf[id] = at
			layers = append(layers, nil)
		}
		layers[at] = append(layers[at], int32(path))
	}
	sizes := s.g.closureSizes(layers)
	order := make([]int, len(layers))
	for i := range order {
		order[i] = i // layers are numbered by their first paths
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[a], sizes[b]) })
	sorted := make([][]int32, len(layers))
	for i, at := range order {
		sorted[i] = layers[at]
	}
	return sorted
}
