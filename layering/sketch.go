package layering

import (
	"cmp"
	"slices"
	"strconv"
)

// sketchSize is how many events a sketch keeps. Smaller closures are known
// exactly: with usual rates that is every closure that more likely stays than
// changes. Of larger ones the weight is known to one part in eight, and the
// probability that they change, which is what counts, better.
const sketchSize = 64

// sketches estimate the weights of unions of closures where exact closures
// would take too much memory. Each is a priority sample: every event has a
// random rank, u / weight with u uniform in (0, 1], and a sketch keeps the
// events of lowest rank. As an event has the same rank wherever it occurs, the
// sketch of a union is made from the sketches of its parts. The random numbers
// are hashes of package names: the same in every run, and no path's depends on
// other paths.
type sketches struct {
	rank   []float64 // of each event, ascending: events are numbered by rank
	weight []int64
}

// newSketches ranks the events of m. It returns the numbers of the events
// that are each path's own update, or that of its source.
func (m *model) newSketches() (*sketches, []int32) {
	type event struct {
		rank   float64
		weight int64
		paths  []int32
	}
	events := make([]event, 0, m.g.Len())
	shared := make([]int, len(m.shared))
	seen := make(map[string]int)
	for _, i := range m.g.byShape() {
		s := m.source[i]
		if s >= 0 && shared[s] > 0 {
			e := &events[shared[s]-1]
			e.paths = append(e.paths, i)
			continue
		}
		weight := m.own[i]
		if s >= 0 {
			weight = m.shared[s]
			shared[s] = len(events) + 1
		}
		pkg := packageOf(m.g.paths[i])
		seen[pkg]++
		u := float64(mix(hashString(pkg+"\x00"+strconv.Itoa(seen[pkg])))>>11+1) / (1 << 53)
		events = append(events, event{u / float64(max(weight, 1)), weight, []int32{i}})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.rank, b.rank) })
	s := &sketches{make([]float64, len(events)), make([]int64, len(events))}
	of := make([]int32, m.g.Len())
	for k, e := range events {
		s.rank[k], s.weight[k] = e.rank, e.weight
		for _, i := range e.paths {
			of[i] = int32(k)
		}
	}
	return s, of
}

// closures returns the sketch of each path's closure.
func (s *sketches) closures(g *Graph, own []int32) [][]int32 {
	all := make([][]int32, g.Len())
	var a, b []int32
	for _, i := range g.topo {
		a = append(a[:0], own[i])
		for _, ref := range g.refs.of(i) {
			b = union(b[:0], a, all[ref])
			a, b = b, a
		}
		all[i] = slices.Clone(a)
	}
	return all
}

// union appends the lowest events of two sketches to dst. One more is kept
// than the sample has, for its rank.
func union(dst, a, b []int32) []int32 {
	for len(dst) <= sketchSize {
		switch {
		case len(a) == 0:
			return append(dst, b[:min(len(b), sketchSize+1-len(dst))]...)
		case len(b) == 0:
			return append(dst, a[:min(len(a), sketchSize+1-len(dst))]...)
		case a[0] < b[0]:
			dst, a = append(dst, a[0]), a[1:]
		case b[0] < a[0]:
			dst, b = append(dst, b[0]), b[1:]
		default:
			dst, a, b = append(dst, a[0]), a[1:], b[1:]
		}
	}
	return dst
}

// weightOf estimates the weight of the events that a sketch stands for.
func (s *sketches) weightOf(sketch []int32) int64 {
	var sum int64
	if len(sketch) <= sketchSize {
		for _, e := range sketch {
			sum += s.weight[e]
		}
		return sum
	}
	least := int64(min(1/s.rank[sketch[sketchSize]], 1<<50)) // what each stands for at least
	for _, e := range sketch[:sketchSize] {
		sum += max(s.weight[e], least)
	}
	return sum
}

// jointWeight estimates the weight of the union of two sketches' events.
func (s *sketches) jointWeight(a, b []int32) int64 {
	var buf [sketchSize + 1]int32
	return s.weightOf(union(buf[:0], a, b))
}
