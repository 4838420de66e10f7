package layering

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSketchesAreWhatWasPacked: with events close to each other and as far apart as
// they can be, and in the order of the lists.
func TestSketchesAreWhatWasPacked(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	list := func() (events []int32) {
		for next := int64(random.IntN(3)); len(events) <= sketchSize && next < 1<<31 && random.IntN(90) > 0; {
			events = append(events, int32(next))
			next += 1 + random.Int64N(1<<random.IntN(32))
		}
		return events
	}
	pack := func(events []int32) sketch { return sketch(appendSketch(nil, events)) }
	var buf [sketchSize + 1]int32
	lists := [][]int32{{0}, {0, 127, 255}, {1<<14 - 1}, {1 << 14}, {1<<21 - 1}, {1 << 21}, {1<<28 - 1}, {1 << 28}, {1<<31 - 1}}
	for range 2000 {
		lists = append(lists, list())
	}
	for i, events := range lists {
		if got := pack(events).events(&buf); !slices.Equal(got, events) {
			t.Fatalf("%v became %v", events, got)
		}
		other := lists[random.IntN(i+1)]
		if n := random.IntN(len(events) + 1); random.IntN(2) == 0 {
			other = events[:n] // which comes before
		}
		if got, want := cmp.Compare(pack(events), pack(other)), slices.Compare(events, other); got != want {
			t.Fatalf("compared, %v and %v give %d; want %d", events, other, got, want)
		}
	}
}
