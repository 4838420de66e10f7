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

// words are what tokens are written with: code words, their numbers of bits in
// the low byte.
type words struct {
	literal [256]uint32
	length  [512]uint32    // of a length less 3, with the bits that follow; none for noMatch
	offset  [32]offsetWord // of a symbol; noOffset has none
}

type offsetWord struct {
	word, base  uint16
	bits, extra uint8
}

func (t *words) setLiterals(codes *[288]code) {
	for i := range t.literal {
		t.literal[i] = uint32(codes[i].word)<<8 | uint32(codes[i].bits)
	}
	for i, s := range lengthSymbol {
		c, e := codes[s], lengthExtra[s-firstLength]
		t.length[i] = (uint32(c.word)|uint32(i-int(e.base))<<c.bits)<<8 | uint32(c.bits+e.bits)
	}
}

func (t *words) setOffsets(codes *[288]code) {
	for i, e := range offsetExtra {
		t.offset[i] = offsetWord{word: codes[i].word, bits: codes[i].bits, base: e.base, extra: e.bits}
	}
}

// runMask has the masks that leave n of four literals.
var runMask = [5][4]uint32{
	{},
	{1<<32 - 1},
	{1<<32 - 1, 1<<32 - 1},
	{1<<32 - 1, 1<<32 - 1, 1<<32 - 1},
	{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1},
}

// write writes tokens, whose bytes begin at pos. There must be room in out for all
// their bits, and 8 bytes.
//
// Runs of literals are short, and of lengths that a processor cannot foresee. So
// four literals are written in any case, those beyond the run with no bits.
func (w *bitWriter) write(tokens []token, t *words, data *buffer, pos int) {
	out, i := w.out[:cap(w.out)], len(w.out)
	acc, n := w.bits, w.n
	for _, token := range tokens {
		run := int(token >> 32)
		for {
			x := uint32(data.load(pos))
			m := &runMask[min(run, 4)]
			c0, c1 := t.literal[byte(x)]&m[0], t.literal[byte(x>>8)]&m[1]
			c2, c3 := t.literal[byte(x>>16)]&m[2], t.literal[byte(x>>24)]&m[3]
			acc |= uint64(c0>>8) << (n & 63)
			n += uint(uint8(c0))
			acc |= uint64(c1>>8) << (n & 63)
			n += uint(uint8(c1))
			acc |= uint64(c2>>8) << (n & 63)
			n += uint(uint8(c2))
			acc |= uint64(c3>>8) << (n & 63)
			n += uint(uint8(c3))
			binary.LittleEndian.PutUint64(out[i:], acc)
			i += int(n >> 3)
			acc >>= n &^ 7 & 63
			n &= 7
			if run <= 4 {
				break
			}
			run -= 4
			pos += 4
		}
		length := int(token>>16) & 511
		c, o := t.length[length], &t.offset[token>>25&31]
		acc |= uint64(c>>8) << (n & 63)
		n += uint(uint8(c))
		acc |= uint64(o.word) << (n & 63)
		n += uint(o.bits)
		acc |= uint64(uint16(token)-o.base) << (n & 63)
		n += uint(o.extra)
		binary.LittleEndian.PutUint64(out[i:], acc)
		i += int(n >> 3)
		acc >>= n &^ 7 & 63
		n &= 7
		if length == noMatch {
			length = -minMatch
		}
		pos += run + length + minMatch
	}
	w.out, w.bits, w.n = out[:i], acc, n
}
