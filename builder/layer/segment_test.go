package layer

import (
	"fmt"
	"slices"
	"testing"
)

// TestCutter: parts are encoded each by itself, so where one ends decides over the bytes
// of compressed layers.
func TestCutter(t *testing.T) {
	for _, test := range []struct {
		sizes []int64  // of entries
		want  []string // entry, bytes of it that are in parts before, size
	}{
		{[]int64{512, 512}, []string{"0 0 1024"}},
		{[]int64{partSize - 512, 512, 512}, []string{"0 0 1048576", "2 0 512"}},
		{[]int64{partSize - 512, 1024}, []string{"0 0 1048064", "1 0 1024"}},
		{[]int64{512, partSize}, []string{"0 0 512", "1 0 1048576"}},
		{[]int64{512, partSize + 512, 512}, []string{"0 0 512", "1 0 1048576", "1 1048576 1024"}},
		{[]int64{2 * partSize, 512}, []string{"0 0 1048576", "0 1048576 1048576", "1 0 512"}},
		{[]int64{3*partSize + 512, partSize - 512}, []string{"0 0 1048576", "0 1048576 1048576", "0 2097152 1048576", "0 3145728 1048576"}},
	} {
		var got []string
		c := cutter{yield: func(p part) { got = append(got, fmt.Sprint(p.pos, p.skip, p.size)) }}
		for i, size := range test.sizes {
			c.add(i, "", "", size)
		}
		c.flush()
		if !slices.Equal(got, test.want) {
			t.Errorf("entries of %d bytes: parts %q, want %q", test.sizes, got, test.want)
		}
	}
}
