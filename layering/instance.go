package layering

import (
	"cmp"
	"math/bits"
	"slices"
)

// instance is the problem as the optimiser of update-cost sees it: atoms that
// are not taken apart, and for each the events that make it change.
type instance struct {
	atoms  []atom
	weight []int64 // of each event
	sums   []int64 // of each value of each byte of a set, see sumUp
	words  int     // of a set of events
	opt    costOptions
}

// atom is one path, or a few that stay together.
type atom struct {
	paths  []int32
	size   int64
	events []uint64
}

// costOptions are what the cost depends on beside sizes and probabilities.
type costOptions struct {
	chain float64 // what a byte of the chain costs against one of the pull
	most  int64   // bytes that a layer should not exceed
}

// wordWeight sums up the weights of the events in word w of a set.
func (in *instance) wordWeight(w int, b uint64) int64 {
	t := in.sums[w*bytesOfWord : (w+1)*bytesOfWord : (w+1)*bytesOfWord]
	_ = t[bytesOfWord-1]
	return t[b&255] + t[256+b>>8&255] + t[512+b>>16&255] + t[768+b>>24&255] +
		t[1024+b>>32&255] + t[1280+b>>40&255] + t[1536+b>>48&255] + t[1792+b>>56]
}

// bytesOfWord is how many values the bytes of a word can have, all together.
const bytesOfWord = 8 * 256

// sumUp makes the table of the weights of all values of each byte of a set:
// most of the optimiser's time goes into such sums.
func (in *instance) sumUp() {
	in.sums = make([]int64, in.words*bytesOfWord)
	for e := 0; e < len(in.weight); e += 8 {
		t := in.sums[e/8*256 : e/8*256+256]
		for v := 1; v < 256; v++ {
			t[v] = t[v&(v-1)] + in.weight[e+bits.TrailingZeros8(uint8(v))]
		}
	}
}

// weightOf sums up the weights of a set of events.
func (in *instance) weightOf(set []uint64) int64 {
	var sum int64
	for w, b := range set {
		sum += in.wordWeight(w, b)
	}
	return sum
}

// extraWeight sums up the weights of the events in set that are not in other.
func (in *instance) extraWeight(set, other []uint64) int64 {
	var sum int64
	other = other[:len(set)]
	for w, b := range set {
		if b &^= other[w]; b != 0 {
			sum += in.wordWeight(w, b)
		}
	}
	return sum
}

// newInstance makes an atom of each set of paths, ordered by the shape of
// their first. Events that concern the same atoms become one.
func (m *model) newInstance(sets [][]int32, opt costOptions) *instance {
	sets = slices.Clone(sets)
	for i, set := range sets {
		set = slices.Clone(set)
		slices.SortFunc(set, func(a, b int32) int { return cmp.Compare(m.g.shape[a], m.g.shape[b]) })
		sets[i] = set
	}
	slices.SortFunc(sets, func(a, b []int32) int { return cmp.Compare(m.g.shape[a[0]], m.g.shape[b[0]]) })
	in := &instance{opt: opt, atoms: make([]atom, len(sets))}
	classes := m.eventClasses(m.g.reachOf(sets))
	in.words = max(1, (len(classes)+63)/64)
	sizes := m.g.sizesOf(sets)
	store := make([]uint64, in.words*len(sets))
	for i, set := range sets {
		in.atoms[i] = atom{paths: set, size: sizes[i], events: store[i*in.words : (i+1)*in.words]}
	}
	for e, class := range classes {
		in.weight = append(in.weight, class.weight)
		for w, b := range class.atoms {
			for k := range eachBit(b) {
				setBit(in.atoms[w*64+k].events, int32(e))
			}
		}
	}
	in.weight = append(in.weight, make([]int64, in.words*64-len(in.weight))...)
	in.sumUp()
	return in
}

// eventClass is all events that concern the same atoms.
type eventClass struct {
	atoms  []uint64
	weight int64
}

// eventClasses collects events by the atoms that they concern. r tells which
// atoms a path is below. Numbering is in the order of shape.
func (m *model) eventClasses(r reach) []eventClass {
	var classes []eventClass
	at := make(map[string]int)
	var key []byte
	add := func(atoms []uint64, weight int64) {
		key = key[:0]
		empty := true
		for _, b := range atoms {
			empty = empty && b == 0
			key = append(key, byte(b), byte(b>>8), byte(b>>16), byte(b>>24), byte(b>>32), byte(b>>40), byte(b>>48), byte(b>>56))
		}
		if empty || weight == 0 {
			return
		}
		k, known := at[string(key)]
		if !known {
			k = len(classes)
			at[string(key)] = k
			classes = append(classes, eventClass{atoms: atoms})
		}
		classes[k].weight += weight
	}
	shared := make([][]uint64, len(m.shared))
	for _, i := range m.g.byShape() {
		row := r.of(i)
		add(row, m.own[i])
		if s := m.source[i]; s >= 0 {
			if shared[s] == nil {
				shared[s] = make([]uint64, r.words)
			}
			for w, b := range row {
				shared[s][w] |= b
			}
		}
	}
	for s, atoms := range shared {
		add(atoms, m.shared[s])
	}
	return classes
}
