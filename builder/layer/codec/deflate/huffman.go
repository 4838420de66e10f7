package deflate

import "math/bits"

// A code is a code word as it is written: its first bit is the lowest.
type code struct {
	word uint16
	bits uint8
}

// assign gives code words to the symbols whose lengths are given (RFC 1951, 3.2.2).
func assign(codes []code, lengths []uint8) {
	var count, next [16]uint16
	for _, l := range lengths {
		count[l&15]++
	}
	count[0] = 0
	for l := 1; l < 16; l++ {
		next[l] = (next[l-1] + count[l-1]) << 1
	}
	for i, l := range lengths {
		codes[i] = code{word: bits.Reverse16(next[l&15]) >> ((16 - l) & 15), bits: l}
		if l == 0 {
			codes[i].word = 0
		}
		next[l&15]++
	}
}

// A huffman makes codes.
type huffman struct {
	symbols, spare [288]uint64 // frequency << 16 | symbol
	nodes          [288]uint32
}

// lengths sets lengths to those of an optimal code for freq, or of a good one
// when that would have lengths above limit. Symbols that do not occur get 0.
func (h *huffman) lengths(lengths []uint8, freq []uint32, limit int) {
	clear(lengths)
	symbols := h.symbols[:0]
	for s, f := range freq {
		if f > 0 {
			symbols = append(symbols, uint64(f)<<16|uint64(s))
		}
	}
	if len(symbols) < 2 {
		for _, s := range symbols {
			lengths[uint16(s)] = 1
		}
		return
	}
	h.sort(symbols)
	counts := h.depths(symbols, limit)
	shorten(&counts, limit)
	rare := symbols
	for l := limit; l > 0; l-- {
		for _, s := range rare[:counts[l]] {
			lengths[uint16(s)] = uint8(l)
		}
		rare = rare[counts[l]:]
	}
}

// sort sorts by frequency, then symbol: by bytes, the lowest first.
func (h *huffman) sort(symbols []uint64) {
	all := uint64(0)
	for _, s := range symbols {
		all |= s
	}
	for shift := uint(16); all>>(shift&63) != 0; shift += 8 {
		var place [256]uint16
		for _, s := range symbols {
			place[byte(s>>(shift&63))]++
		}
		sum := uint16(0)
		for i, n := range place {
			place[i] = sum
			sum += n
		}
		for _, s := range symbols {
			p := &place[byte(s>>(shift&63))]
			h.spare[*p] = s
			*p++
		}
		copy(symbols, h.spare[:])
	}
}

// depths returns how many symbols have which depth in a Huffman tree. Those
// below limit count as being at limit. (Moffat and Katajainen: In-Place
// Calculation of Minimum-Redundancy Codes, 1995.)
func (h *huffman) depths(symbols []uint64, limit int) (counts [16]int) {
	n := len(symbols)
	nodes := h.nodes[:n]
	for i, s := range symbols {
		nodes[i] = uint32(s >> 16)
	}
	// nodes[:next] are the inner nodes made so far: those before root have
	// a parent, and hold its index; the others hold their weight.
	leaf, root := 0, 0
	for next := range n - 1 {
		weight := uint32(0)
		for range 2 {
			if leaf >= n || root < next && nodes[root] < nodes[leaf] {
				weight += nodes[root]
				nodes[root] = uint32(next)
				root++
			} else {
				weight += nodes[leaf]
				leaf++
			}
		}
		nodes[next] = weight
	}
	// From the top: at each depth, what is not an inner node is a leaf.
	nodes[n-2] = 0
	for i := n - 3; i >= 0; i-- {
		nodes[i] = nodes[nodes[i]] + 1
	}
	places, inner := 1, n-2
	for depth := 0; places > 0; depth++ {
		used := 0
		for ; inner >= 0 && int(nodes[inner]) == depth; inner-- {
			used++
		}
		counts[min(depth, limit)] += places - used
		places = 2 * used
	}
	return counts
}

// shorten makes counts those of a prefix code again, after depths cut it at limit.
func shorten(counts *[16]int, limit int) {
	total := 0
	for l := 1; l <= limit; l++ {
		total += counts[l] << (limit - l)
	}
	for ; total > 1<<limit; total-- {
		// Put one of the deepest beside a leaf that is not as deep.
		l := limit - 1
		for counts[l] == 0 {
			l--
		}
		counts[l]--
		counts[l+1] += 2
		counts[limit]--
	}
}
