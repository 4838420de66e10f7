package store

import (
	"encoding/binary"
	"slices"
)

// RefScanner finds references: which of a set of store paths are mentioned in
// what is written to it. A path is mentioned where the 32 characters of its
// digest stand, wherever that is: at any offset, across the borders of writes,
// and with base-32 characters directly before or after it.
//
// It looks at the last of 32 bytes first, and from a byte that is not base-32
// skips to behind it, as Nix does; so it reads about one byte in 32 of binary
// data. Text that is compressed or in UTF-16 hides references from it, as from
// Nix.
//
// A RefScanner is for one goroutine. Write never fails.
type RefScanner struct {
	byDigest map[string]Path
	found    []Path
	base32   [256]bool
	// heads has a bit set for what the first 4 bytes of each digest hash to.
	// In long runs of base-32 characters, such as hexadecimal dumps, it spares
	// nearly every lookup.
	heads [1 << 16 / 64]uint64
	tail  []byte // the last digestLen-1 bytes written, or fewer
}

// NewRefScanner returns a scanner for references to the candidates. Of several
// with one digest, which no store has, it reports the last.
func NewRefScanner(candidates []Path) *RefScanner {
	s := &RefScanner{byDigest: make(map[string]Path, len(candidates)), tail: make([]byte, 0, 2*digestLen)}
	for _, c := range base32Alphabet {
		s.base32[c] = true
	}
	for _, p := range candidates {
		s.add(p)
	}
	return s
}

// add adds a candidate.
func (s *RefScanner) add(p Path) {
	d := p.Digest()
	s.byDigest[d] = p
	h := headHash([]byte(d))
	s.heads[h/64] |= 1 << (h % 64)
}

// Write scans b. It returns len(b) and no error.
func (s *RefScanner) Write(b []byte) (int, error) {
	if len(s.byDigest) == 0 {
		return len(b), nil // all are found
	}
	// A digest that began in an earlier write ends within the first bytes of
	// this one.
	border := append(s.tail, b[:min(len(b), digestLen-1)]...)
	s.scan(border)
	s.scan(b)
	if len(b) >= digestLen-1 {
		border = b
	}
	s.tail = append(s.tail[:0], border[max(0, len(border)-(digestLen-1)):]...)
	return len(b), nil
}

// References returns the candidates found so far, sorted.
func (s *RefScanner) References() []Path {
	refs := slices.Clone(s.found)
	slices.Sort(refs)
	return refs
}

// Reset forgets what was written and found: what is written next is something
// else.
func (s *RefScanner) Reset() {
	for _, p := range s.found {
		s.byDigest[p.Digest()] = p
	}
	s.found, s.tail = s.found[:0], s.tail[:0]
}

// scan looks for digests that lie wholly within b.
func (s *RefScanner) scan(b []byte) {
	known := 0 // all bytes from start up to here are base-32
	for start := 0; start+digestLen <= len(b); {
		end := start + digestLen
		at := end - 1
		for at >= known && s.base32[b[at]] {
			at--
		}
		if at >= known {
			start, known = at+1, end
			continue
		}
		end = s.run(b, start, end)
		start, known = end+1, end+1
	}
}

// run looks at every window of the run of base-32 characters that begins with
// b[start:end], and returns the end of the run.
func (s *RefScanner) run(b []byte, start, end int) int {
	for {
		h := headHash(b[start:])
		if s.heads[h/64]&(1<<(h%64)) != 0 {
			s.lookUp(b[start : start+digestLen])
		}
		if end == len(b) || !s.base32[b[end]] {
			return end
		}
		start++
		end++
	}
}

func (s *RefScanner) lookUp(digest []byte) {
	if p, ok := s.byDigest[string(digest)]; ok {
		s.found = append(s.found, p)
		delete(s.byDigest, string(digest))
	}
}

// headHash hashes the first 4 bytes of b into 16 bits.
func headHash(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b) * 0x9e3779b1 >> 16
}
