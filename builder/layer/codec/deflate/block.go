package deflate

// A writer writes blocks.
type writer struct {
	bitWriter
	huffman        huffman
	literalLengths [288]uint8
	offsetLengths  [32]uint8
	codes          [288]code
	header         header
	words          words
}

// maxLiteral is the length of the longest code word for a literal or a length: 14, not
// the 15 that are allowed, so that four fit into a word beside 7 bits.
const maxLiteral = 14

// block writes the block of data from start to end that has these tokens, as it is
// shortest: with codes of its own, with the fixed ones, or stored.
func (w *writer) block(h *histogram, tokens []token, data *buffer, start, end int, last bool) {
	h.literals[endOfBlock] = 1
	literals, offsets := &w.literalLengths, &w.offsetLengths
	w.huffman.lengths(literals[:literalCodes], h.literals[:literalCodes], maxLiteral)
	w.huffman.lengths(offsets[:offsetCodes], h.offsets[:offsetCodes], 15)
	w.header.make(&w.huffman, literals[:literalCodes], offsets[:offsetCodes])
	kind, size := dynamicBlock, w.header.bits+h.cost(literals, offsets)
	if fixed := h.cost(&fixedLiterals, &fixedOffsets); fixed <= size {
		kind, size = fixedBlock, fixed
		literals, offsets = &fixedLiterals, &fixedOffsets
	}
	if storedBits(end-start) <= size {
		w.stored(data[start:end], last)
		return
	}
	w.reserve(size/8 + 16)
	w.begin(kind, last)
	if kind == dynamicBlock {
		w.header.write(&w.bitWriter)
	}
	assign(w.codes[:], literals[:])
	w.words.setLiterals(&w.codes)
	final := w.codes[endOfBlock]
	assign(w.codes[:], offsets[:])
	w.words.setOffsets(&w.codes)
	w.write(tokens, &w.words, data, start)
	w.put(uint64(final.word), uint(final.bits))
}

// The kinds of blocks (RFC 1951, 3.2.3).
const (
	storedBlock uint64 = iota
	fixedBlock
	dynamicBlock
)

// begin writes the first bits of a block.
func (w *bitWriter) begin(kind uint64, last bool) {
	if last {
		w.put(kind<<1|1, 3)
	} else {
		w.put(kind<<1, 3)
	}
}

// cost returns how many bits the symbols of h take, with what follows them.
func (h *histogram) cost(literals *[288]uint8, offsets *[32]uint8) int {
	sum := 0
	for i, n := range h.literals {
		sum += int(n) * int(literals[i])
	}
	for i, e := range lengthExtra {
		sum += int(h.literals[firstLength+i]) * int(e.bits)
	}
	for i, e := range offsetExtra {
		sum += int(h.offsets[i]) * int(offsets[i]+e.bits)
	}
	return sum
}

// The lengths of the fixed codes (RFC 1951, 3.2.6).
var fixedLiterals, fixedOffsets = func() (l [288]uint8, o [32]uint8) {
	for i := range l {
		switch {
		case i >= 256 && i < 280:
			l[i] = 7
		case i >= 144 && i < 256:
			l[i] = 9
		default:
			l[i] = 8
		}
	}
	for i := range o {
		o[i] = 5
	}
	return l, o
}()

// maxStored is the number of bytes that one stored block can have.
const maxStored = 1<<16 - 1

// storedBits returns how many bits it takes at most to store size bytes.
func storedBits(size int) int {
	return 8*size + (size/maxStored+1)*(3+7+32)
}

// stored writes data as they are (RFC 1951, 3.2.4).
func (w *bitWriter) stored(data []byte, last bool) {
	w.reserve(storedBits(len(data)) / 8)
	for done := false; !done; {
		n := min(len(data), maxStored)
		done = n == len(data)
		w.begin(storedBlock, last && done)
		w.align()
		w.put(uint64(n)|uint64(^uint16(n))<<16, 32)
		w.out = append(w.out, data[:n]...)
		data = data[n:]
	}
}
