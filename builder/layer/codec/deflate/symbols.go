package deflate

import "math/bits"

// The alphabets of RFC 1951, 3.2.5.
const (
	endOfBlock   = 256
	firstLength  = 257
	literalCodes = 286 // literals, the end of a block, and lengths
	offsetCodes  = 30
	noOffset     = 31 // in tokens: an offset symbol that is written with no bits
)

// A token is a run of literals and the match that follows. From the highest bits:
// the number of literals (32 bits), the symbol of the match's distance (7), its
// length less 3 or noMatch (9), and its distance less 1 (16).
type token uint64

const noMatch = 256

// literalRun returns the token of n literals without a match.
func literalRun(n int) token { return token(n)<<32 | noOffset<<25 | noMatch<<16 }

// A histogram counts symbols. Of those beyond the alphabets there are none.
type histogram struct {
	literals [288]uint32
	offsets  [32]uint32
}

// match counts a match of a distance, less one, and returns its token, with the
// number of literals before it.
func (h *histogram) match(literals, length, distance int) token {
	symbol := offsetSymbol(uint32(distance))
	h.literals[lengthSymbol[uint8(length-minMatch)]]++
	h.offsets[symbol&31]++
	return token(literals)<<32 | token(symbol)<<25 | token(length-minMatch)<<16 | token(distance)
}

// sum makes h what a and b count together.
func (h *histogram) sum(a, b *histogram) {
	for i := range h.literals {
		h.literals[i] = a.literals[i] + b.literals[i]
	}
	for i := range h.offsets {
		h.offsets[i] = a.offsets[i] + b.offsets[i]
	}
}

// offsetSymbol returns the symbol of a distance, less one: the place of its
// highest bit, and the bit below.
func offsetSymbol(d uint32) uint32 {
	if d < 4 {
		return d
	}
	n := uint32(bits.Len32(d))
	return 2*(n-1) + d>>((n-2)&31)&1
}

// extraBits is what a symbol stands for: base, to which the bits that follow it
// are added.
type extraBits struct {
	base uint16
	bits uint8
}

// lengthExtra has the lengths, less 3, that symbols from firstLength stand for.
var lengthExtra = func() (t [29]extraBits) {
	base := uint16(0)
	for i := range 28 {
		t[i] = extraBits{base, uint8(max(0, i/4-1))}
		base += 1 << t[i].bits
	}
	t[28] = extraBits{base: maxMatch - minMatch}
	return t
}()

// lengthSymbol has the symbol of each length, less 3.
var lengthSymbol = func() (t [256]uint16) {
	for i, e := range lengthExtra {
		for l := int(e.base); l < int(e.base)+1<<e.bits && l < len(t); l++ {
			t[l] = firstLength + uint16(i)
		}
	}
	return t
}()

// offsetExtra has the distances, less one, that offset symbols stand for.
var offsetExtra = func() (t [offsetCodes]extraBits) {
	base := uint16(0)
	for i := range t {
		t[i] = extraBits{base, uint8(max(0, i/2-1))}
		base += 1 << t[i].bits
	}
	return t
}()
