package memo

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

var testDivision = []Group{{Name: "libc", Members: []uint32{3}}, {Members: []uint32{0, 2, 300}}}

func TestDivisionComesBackAsItWas(t *testing.T) {
	var told []string
	m, err := Open(t.Context(), t.TempDir(), Options{Warn: func(s string) { told = append(told, s) }})
	if err != nil {
		t.Fatal(err)
	}
	key := digest.FromString("key")
	if err := m.KeepDivision(key, testDivision); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(testDivision, m.Division(key, 301)); diff != "" {
		t.Errorf("another division came back (-want +got):\n%s", diff)
	}
	if got := m.Division(digest.FromString("another"), 301); got != nil || told != nil {
		t.Errorf("found under another key: %v %q", got, told)
	}
	if got := m.Division(key, 300); got != nil || len(told) != 1 {
		t.Errorf("found for a closure that is too small: %v %q", got, told)
	}
}

// TestDecodeDivisionTakesAllOrNothing cuts the encoding of a division at every length,
// and gives others that say what cannot be.
func TestDecodeDivisionTakesAllOrNothing(t *testing.T) {
	whole := encodeDivision(testDivision)
	wrong := map[string][]byte{
		"more than that":     append(bytes.Clone(whole), 0),
		"one member twice":   encodeDivision([]Group{{Members: []uint32{1, 1}}}),
		"in two groups":      encodeDivision([]Group{{Members: []uint32{1}}, {Members: []uint32{1}}}),
		"beyond the last":    encodeDivision([]Group{{Members: []uint32{301}}}),
		"a number too large": {1, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2},
	}
	for i := range whole {
		wrong[fmt.Sprintf("the first %d bytes", i)] = whole[:i]
	}
	for what, b := range wrong {
		if groups, err := decodeDivision(b, 301); err == nil {
			t.Errorf("%s: %+v", what, groups)
		}
	}
}

// FuzzDecodeDivision gives it what is no division: an error or one that is
// encoded to what is decoded to the same.
func FuzzDecodeDivision(f *testing.F) {
	f.Add(encodeDivision(testDivision), 301)
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, 5)
	f.Add([]byte{1, 0, 2, 1, 1}, 2)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		groups, err := decodeDivision(b, n&0xffff)
		if err != nil {
			return
		}
		again, err := decodeDivision(encodeDivision(groups), n&0xffff)
		if diff := cmp.Diff(groups, again); err != nil || diff != "" {
			t.Errorf("another division came back (%v):\n%s", err, diff)
		}
	})
}
