package store

import (
	"fmt"
	"strings"
)

// base32Alphabet is Nix's: digits and lower-case letters without e, o, t, u.
const base32Alphabet = "0123456789abcdfghijklmnpqrsvwxyz"

// base32Value has the value of each character, -1 for one that is not of the
// alphabet.
var base32Value = func() (values [256]int) {
	for c := range values {
		values[c] = strings.IndexByte(base32Alphabet, byte(c))
	}
	return values
}()

// EncodeBase32 returns b in Nix's base-32: an alphabet without e, o, t and u,
// the least significant bits last, no padding characters. A digest of n bytes
// makes ⌈8n/5⌉ characters, and the first of them carries the bits left over.
//
// See https://nix.dev/manual/nix/latest/protocols/nix32.
func EncodeBase32(b []byte) string {
	n := base32Len(len(b))
	out := make([]byte, n)
	for i := range n {
		at, shift := i*5/8, uint(i*5%8)
		c := b[at] >> shift
		if at+1 < len(b) {
			c |= b[at+1] << (8 - shift)
		}
		out[n-1-i] = base32Alphabet[c&31]
	}
	return string(out)
}

// decodeBase32 undoes EncodeBase32. There is one spelling for every value:
// a character outside the alphabet, a length that no number of bytes has, and
// bits beyond the last byte that are not zero are errors.
func decodeBase32(s string) ([]byte, error) {
	b := make([]byte, len(s)*5/8)
	if base32Len(len(b)) != len(s) {
		return nil, fmt.Errorf("decode base-32 %q: no value has %d characters", s, len(s))
	}
	for i := range len(s) {
		at := len(s) - 1 - i
		v := base32Value[s[at]]
		if v < 0 {
			return nil, fmt.Errorf("decode base-32 %q: character %q at %d is not base-32", s, s[at], at)
		}
		low, shift := i*5/8, uint(i*5%8)
		b[low] |= byte(v << shift)
		carry := byte(v >> (8 - shift))
		switch {
		case low+1 < len(b):
			b[low+1] |= carry
		case carry != 0:
			return nil, fmt.Errorf("decode base-32 %q: bits beyond the last byte are not zero", s)
		}
	}
	return b, nil
}

// base32Len returns how many characters n bytes make.
func base32Len(n int) int { return (n*8 + 4) / 5 }
