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
		found  int32 // number by the order of shape
	}
	events := make([]event, 0, m.g.Len())
	of := make([]int32, m.g.Len())
	shared := make([]int32, len(m.shared))
	seen := make(map[string]int)
	for _, i := range m.g.byShape() {
		s := m.source[i]
		if s >= 0 && shared[s] > 0 {
			of[i] = shared[s] - 1
			continue
		}
		of[i] = int32(len(events))
		weight := m.own[i]
		if s >= 0 {
			weight = m.shared[s]
			shared[s] = of[i] + 1
		}
		pkg := packageOf(m.g.paths[i])
		seen[pkg]++
		u := float64(mix(hashString(pkg+"\x00"+strconv.Itoa(seen[pkg])))>>11+1) / (1 << 53)
		events = append(events, event{u / float64(max(weight, 1)), weight, of[i]})
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.found, b.found)) })
	s := &sketches{make([]float64, len(events)), make([]int64, len(events))}
	number := make([]int32, len(events))
	for k, e := range events {
		s.rank[k], s.weight[k] = e.rank, e.weight
		number[e.found] = int32(k)
	}
	for i, found := range of {
		of[i] = number[found]
	}
	return s, of
}

// closures returns the sketch of each path's closure.
func (s *sketches) closures(g *Graph, own []int32) []sketch {
	all := make([]sketch, g.Len())
	var a, b, buf [sketchSize + 1]int32
	var packed []byte
	for _, i := range g.topo {
		events, spare := append(a[:0], own[i]), b[:0]
		for _, ref := range g.refs.of(i) {
			joined := union(spare, events, all[ref].events(&buf))
			events, spare = joined, events[:0]
		}
		packed = appendSketch(packed[:0], events)
		all[i] = sketch(packed)
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
func (s *sketches) weightOf(events []int32) int64 {
	var sum int64
	if len(events) <= sketchSize {
		for _, e := range events {
			sum += s.weight[e]
		}
		return sum
	}
	least := int64(min(1/s.rank[events[sketchSize]], 1<<50)) // what each stands for at least
	for _, e := range events[:sketchSize] {
		sum += max(s.weight[e], least)
	}
	return sum
}

// jointWeight estimates the weight of the union of two sketches' events.
func (s *sketches) jointWeight(a []int32, b sketch) int64 {
	var x, buf [sketchSize + 1]int32
	return s.weightOf(union(buf[:0], a, b.events(&x)))
}

// A sketch is the events of one, ascending, packed: of a large closure there are as
// many sketches as paths. Of each event there is what it is more than the one before,
// in as few bytes as hold it, the highest bits first. How many bytes these are say the
// ones that the first begins with. So sketches compare as lists of events do.
type sketch string

// appendSketch packs events.
func appendSketch(dst []byte, events []int32) []byte {
	last := int32(0)
	for _, e := range events {
		d := uint32(e - last)
		last = e
		switch {
		case d < 1<<7:
			dst = append(dst, byte(d))
		case d < 1<<14:
			dst = append(dst, byte(d>>8)|0x80, byte(d))
		case d < 1<<21:
			dst = append(dst, byte(d>>16)|0xc0, byte(d>>8), byte(d))
		case d < 1<<28:
			dst = append(dst, byte(d>>24)|0xe0, byte(d>>16), byte(d>>8), byte(d))
		default:
			dst = append(dst, 0xf0, byte(d>>24), byte(d>>16), byte(d>>8), byte(d))
		}
	}
	return dst
}

// events unpacks s into buf.
func (s sketch) events(buf *[sketchSize + 1]int32) []int32 {
	last, n := int32(0), 0
	for i := 0; i < len(s) && n < len(buf); n++ {
		d := int32(s[i])
		i++
		switch {
		case d < 0x80:
		case d < 0xc0 && i < len(s): // so are nearly all
			d = d&0x3f<<8 | int32(s[i])
			i++
		default:
			d, i = s.long(i)
		}
		last += d
		buf[n] = last
	}
	return buf[:n]
}

// long unpacks what takes more than two bytes, the first before s[i], and returns
// where the next begins.
func (s sketch) long(i int) (d int32, next int) {
	d, next = int32(s[i-1]), i+4
	switch {
	case d < 0xe0:
		d, next = d&0x1f, i+2
	case d < 0xf0:
		d, next = d&0x0f, i+3
	default:
		d = 0
	}
	for _, b := range []byte(s[i:next]) {
		d = d<<8 | int32(b)
	}
	return d, next
}
