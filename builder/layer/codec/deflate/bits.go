package deflate

import (
	"encoding/binary"
	"slices"
)

// A bitWriter appends bits to out, the lowest first.
type bitWriter struct {
	out  []byte
	bits uint64 // that wait for more
	n    uint   // their number
}

func (w *bitWriter) reset(out []byte) { w.out, w.bits, w.n = out, 0, 0 }

// reserve makes room in out for n more bytes.
func (w *bitWriter) reserve(n int) { w.out = slices.Grow(w.out, n) }

// put writes the n low bits of v; the others must be 0, and n at most 48.
func (w *bitWriter) put(v uint64, n uint) {
	w.bits |= v << (w.n & 63)
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.bits))
		w.bits >>= 8
	}
}

// align writes zeros up to the next byte.
func (w *bitWriter) align() {
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
}

// finish ends the stream and returns it.
func (w *bitWriter) finish() []byte {
	w.align()
	out := w.out
	w.out = nil
	return out
}

// words are what tokens are written with. Of a word, the low byte is the number of
// bits, and the others are the bits.
type words struct {
	literal [256]uint64
	length  [512]uint64    // of a length less 3, with the bits that follow; none for noMatch
	offset  [32]offsetWord // of a symbol; noOffset has none
}

// An offsetWord makes the bits of a distance, less one: shift that, and add bits.
type offsetWord struct {
	bits     uint32 // code word, less the smallest distance shifted
	shift, n uint8  // bits of the code word; of all
}

func (t *words) setLiterals(codes *[288]code) {
	for i := range t.literal {
		t.literal[i] = uint64(codes[i].word)<<8 | uint64(codes[i].bits)
	}
	for i, s := range lengthSymbol {
		c, e := codes[s], lengthExtra[s-firstLength]
		t.length[i] = (uint64(c.word)|uint64(i-int(e.base))<<c.bits)<<8 | uint64(c.bits+e.bits)
	}
}

func (t *words) setOffsets(codes *[288]code) {
	for i, e := range offsetExtra {
		c := codes[i]
		t.offset[i] = offsetWord{bits: uint32(c.word) - uint32(e.base)<<c.bits, shift: c.bits, n: c.bits + e.bits}
	}
}

// match returns the bits of the match of a token; only the low byte of n, their
// number, counts.
func (t *words) match(m token) (bits, n uint64) {
	length, offset := t.length[m>>16&511], &t.offset[m>>25&31]
	distance := uint64(uint32(uint16(m))<<(offset.shift&31) + offset.bits)
	return length>>8 | distance<<(length&63), length + uint64(offset.n)
}

// runMask has the masks that leave n of four literals.
var runMask = [5][4]uint64{
	{},
	{1<<64 - 1},
	{1<<64 - 1, 1<<64 - 1},
	{1<<64 - 1, 1<<64 - 1, 1<<64 - 1},
	{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1},
}

// write writes tokens, whose bytes begin at pos. There must be room in out for all
// their bits, and 8 bytes.
//
// Runs of literals are short, and of lengths that a processor cannot foresee. So
// four literals are written in any case, those beyond the run with no bits.
func (w *bitWriter) write(tokens []token, t *words, data *buffer, pos int) {
	out, i := w.out[:cap(w.out)], len(w.out)
	acc, n := w.bits, uint64(w.n) // of n, only the low byte counts
	for _, token := range tokens {
		run := int(token >> 32)
		for {
			x := data.load(pos)
			m := &runMask[min(run, 4)]
			c0, c1 := t.literal[byte(x)]&m[0], t.literal[byte(x>>8)]&m[1]
			c2, c3 := t.literal[byte(x>>16)]&m[2], t.literal[byte(x>>24)]&m[3]
			acc |= c0 >> 8 << (n & 63)
			n += c0
			acc |= c1 >> 8 << (n & 63)
			n += c1
			acc |= c2 >> 8 << (n & 63)
			n += c2
			acc |= c3 >> 8 << (n & 63)
			n += c3
			if run <= 4 {
				break
			}
			i, acc, n = flush(out, i, acc, n)
			run -= 4
			pos += 4
		}
		match, bits := t.match(token)
		if uint8(n)+uint8(bits) > 63 { // which is rare
			i, acc, n = flush(out, i, acc, n)
		}
		acc |= match << (n & 63)
		i, acc, n = flush(out, i, acc, n+bits)
		length := int(token>>16) & 511
		if length == noMatch {
			length = -minMatch
		}
		pos += run + length + minMatch
	}
	w.out, w.bits, w.n = out[:i], acc, uint(n)
}

// flush writes those of the n bits in acc that are whole bytes to out[i:], and
// returns what is left, and where it goes.
func flush(out []byte, i int, acc, n uint64) (int, uint64, uint64) {
	binary.LittleEndian.PutUint64(out[i:i+8], acc)
	return i + int(n>>3&7), acc >> (n & 0x38), n & 7
}
