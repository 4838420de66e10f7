// Package sha256x2 feeds two SHA-256 hashes at once.
//
// The instructions that x86 processors have for SHA-256 wait for each other
// within one message, so that half of a core idles. Two messages side by side
// take little longer than one. Only whole blocks of two messages are hashed here;
// the rest is left to crypto/sha256, and so is everything on other processors.
package sha256x2

import (
	"encoding"
	"encoding/binary"
	"hash"
)

const (
	blockSize = 64 // bytes of a block of SHA-256

	// worthwhile is how many bytes both messages must have for it to pay to take
	// the state out of the hashes and put it back.
	worthwhile = 32 * blockSize
)

// Write2 writes p to a and q to b, which are hashes of crypto/sha256. It gains
// something if each was given whole blocks of 64 bytes so far, and p and q are
// about as long. With other hashes it is right, and gains nothing.
func Write2(a hash.Hash, p []byte, b hash.Hash, q []byte) {
	if n := min(len(p), len(q)) / blockSize * blockSize; available && n >= worthwhile {
		s, okA := stateOf(a)
		t, okB := stateOf(b)
		if okA && okB {
			block2(&s.h, &t.h, &p[0], &q[0], n/blockSize)
			s.give(a, n)
			t.give(b, n)
			p, q = p[n:], q[n:]
		}
	}
	a.Write(p)
	b.Write(q)
}

// The form in which crypto/sha256 hands its state over: magic, eight words, a
// block that is not full yet, number of bytes so far; numbers are big-endian.
const (
	magic      = "sha\x03"
	wordsAt    = len(magic)
	lengthAt   = wordsAt + 8*4 + blockSize
	stateBytes = lengthAt + 8
)

// state is the state of a hash between two blocks.
type state struct {
	h    [8]uint32
	text [stateBytes]byte
}

// stateOf takes the state out of a hash; ok is false if it is in another form
// than is known here, or within a block.
func stateOf(from hash.Hash) (s state, ok bool) {
	m, ok := from.(encoding.BinaryAppender)
	if !ok {
		return s, false
	}
	text, err := m.AppendBinary(s.text[:0])
	if err != nil || len(text) != stateBytes || string(text[:wordsAt]) != magic || binary.BigEndian.Uint64(text[lengthAt:])%blockSize != 0 {
		return s, false
	}
	for i := range s.h {
		s.h[i] = binary.BigEndian.Uint32(text[wordsAt+4*i:])
	}
	return s, true
}

// give puts the state, n bytes later, back into a hash.
func (s *state) give(to hash.Hash, n int) {
	for i, word := range s.h {
		binary.BigEndian.PutUint32(s.text[wordsAt+4*i:], word)
	}
	length := s.text[lengthAt:]
	binary.BigEndian.PutUint64(length, binary.BigEndian.Uint64(length)+uint64(n))
	if err := to.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.text[:]); err != nil {
		panic(err) // it is what the hash itself has said, with other numbers
	}
}
