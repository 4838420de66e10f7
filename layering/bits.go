package layering

import (
	"iter"
	"math/bits"
)

func hasBit(set []uint64, i int32) bool { return set[i/64]>>(i%64)&1 != 0 }

func setBit(set []uint64, i int32) { set[i/64] |= 1 << (i % 64) }

// eachBit yields the positions of the bits in w, lowest first.
func eachBit(w uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for ; w != 0; w &= w - 1 {
			if !yield(bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}

// reach tells, for each path, which of some sets have it in their closure:
// bit k of of(i) is set when a member of sets[k] is i or depends on i. One
// pass over the graph finds it for all sets together, so closures of many
// sets cost little more than that of one.
type reach struct {
	words int
	bits  []uint64
}

func (g *Graph) reachOf(sets [][]int32) reach {
	r := reach{words: max(1, (len(sets)+63)/64)}
	r.bits = make([]uint64, r.words*g.Len())
	for k, set := range sets {
		for _, m := range set {
			setBit(r.of(m), int32(k))
		}
	}
	for k := g.Len() - 1; k >= 0; k-- {
		i := g.topo[k]
		mine := r.of(i)
		for _, ref := range g.refs.of(i) {
			for w, b := range mine {
				r.bits[int(ref)*r.words+w] |= b
			}
		}
	}
	return r
}

func (r reach) of(i int32) []uint64 {
	at := int(i) * r.words
	return r.bits[at : at+r.words : at+r.words]
}

// closureSizes returns the size of the closure of each set, in bytes.
func (g *Graph) closureSizes(sets [][]int32) []int64 {
	r := g.reachOf(sets)
	sizes := make([]int64, len(sets))
	for i, size := range g.sizes {
		for w, b := range r.of(int32(i)) {
			for k := range eachBit(b) {
				sizes[w*64+k] += size
			}
		}
	}
	return sizes
}
