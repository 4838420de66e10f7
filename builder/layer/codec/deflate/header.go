package deflate

// A header is the description of the codes of a dynamic block (RFC 1951, 3.2.7).
type header struct {
	literals, offsets, lengths int      // numbers of code lengths that are written
	runs                       []uint16 // symbols of the code for code lengths | what follows << 5
	codes                      [19]code
	all                        [literalCodes + offsetCodes]uint8
	freq                       [19]uint32
	codeLengths                [19]uint8
	bits                       int
}

// The symbols of the code for code lengths that stand for runs.
const (
	repeatLength = 16 // the length before, 3 to 6 times
	repeatZero   = 17 // 3 to 10 times
	repeatZeros  = 18 // 11 to 138 times
)

// lengthOrder is the order in which the lengths of the code for code lengths are written.
var lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// runBits has the number of bits that follow a symbol.
var runBits = [32]uint8{repeatLength: 2, repeatZero: 3, repeatZeros: 7}

// make makes the description of two codes, and counts its bits.
func (h *header) make(huffman *huffman, literals, offsets []uint8) {
	h.literals, h.offsets, h.lengths = len(literals), len(offsets), len(lengthOrder)
	for h.literals > firstLength && literals[h.literals-1] == 0 {
		h.literals--
	}
	for h.offsets > 1 && offsets[h.offsets-1] == 0 {
		h.offsets--
	}
	all := append(append(h.all[:0], literals[:h.literals]...), offsets[:h.offsets]...)
	h.encodeRuns(all)
	huffman.lengths(h.codeLengths[:], h.freq[:], 7)
	assign(h.codes[:], h.codeLengths[:])
	for h.lengths > 4 && h.codeLengths[lengthOrder[h.lengths-1]] == 0 {
		h.lengths--
	}
	h.bits = 3 + 5 + 5 + 4 + 3*h.lengths
	for i, n := range h.freq {
		h.bits += int(n) * int(h.codeLengths[i]+runBits[i])
	}
}

// encodeRuns turns lengths into symbols and counts them.
func (h *header) encodeRuns(lengths []uint8) {
	h.runs = h.runs[:0]
	clear(h.freq[:])
	for len(lengths) > 0 {
		l, n := lengths[0], 1
		for n < len(lengths) && lengths[n] == l {
			n++
		}
		lengths = lengths[n:]
		if l != 0 {
			h.add(uint16(l), 0)
			n--
		}
		for n >= 3 {
			switch {
			case l != 0:
				h.add(repeatLength, min(n, 6)-3)
				n -= min(n, 6)
			case n < 11:
				h.add(repeatZero, n-3)
				n = 0
			default:
				h.add(repeatZeros, min(n, 138)-11)
				n -= min(n, 138)
			}
		}
		for ; n > 0; n-- {
			h.add(uint16(l), 0)
		}
	}
}

func (h *header) add(symbol uint16, extra int) {
	h.runs = append(h.runs, symbol|uint16(extra)<<5)
	h.freq[symbol]++
}

// write writes the description.
func (h *header) write(w *bitWriter) {
	w.put(uint64(h.literals-firstLength), 5)
	w.put(uint64(h.offsets-1), 5)
	w.put(uint64(h.lengths-4), 4)
	for _, i := range lengthOrder[:h.lengths] {
		w.put(uint64(h.codeLengths[i]), 3)
	}
	for _, r := range h.runs {
		symbol := r & 31
		c := h.codes[symbol]
		w.put(uint64(c.word), uint(c.bits))
		w.put(uint64(r>>5), uint(runBits[symbol]))
	}
}
