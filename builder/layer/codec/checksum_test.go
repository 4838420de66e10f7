package codec

import (
	"bytes"
	"testing"
)

// TestHolds: what is encoded of a part holds it, by every codec, and nothing that
// differs from it in a bit or in its length.
func TestHolds(t *testing.T) {
	for id, c := range codecs(t) {
		for name, part := range parts() {
			if len(part) == 0 {
				continue
			}
			coded := encode(t, c, part)
			if !c.Holds(coded, part) {
				t.Errorf("%s: %s is not in what it was encoded to", id, name)
			}
			if c.Holds(coded, append(bytes.Clone(part), 0)) {
				t.Errorf("%s: %s with a zero behind it is", id, name)
			}
			for _, at := range []int{0, len(part) / 2, len(part) - 1} {
				other := bytes.Clone(part)
				other[at] ^= 1
				if c.Holds(coded, other) {
					t.Errorf("%s: %s with byte %d changed is", id, name, at)
				}
			}
		}
		if c.Holds(nil, []byte("part")) {
			t.Errorf("%s: nothing holds something", id)
		}
	}
}
