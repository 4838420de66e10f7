package memo

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"testing"
)

// TestLengthsAreAMap changes lengths and a map in the same way: they stay equal, in
// memory and in JSON, and what was there before does not change.
func TestLengthsAreAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"", "a", "b", "c", "gzip 1"}
	var l Lengths
	want := map[string]int64{}
	for step := range 500 {
		before, was := l, l.byName()
		name, n := names[random.IntN(len(names))], random.Int64()
		switch random.IntN(3) {
		case 0:
			l = l.with(name, n)
			want[name] = n
		case 1:
			l = l.without(name)
			delete(want, name)
		case 2:
			l = l.over(Lengths{{name, n}})
			if _, ok := want[name]; !ok {
				want[name] = n
			}
		}
		if !maps.Equal(l.byName(), want) || len(l) != len(want) {
			t.Fatalf("step %d: %v, want %v", step, l, want)
		}
		if !maps.Equal(before.byName(), was) {
			t.Fatalf("step %d changed %v into %v", step, was, before)
		}
		text, err := json.Marshal(l)
		wantText, _ := json.Marshal(want)
		if err != nil || string(text) != string(wantText) {
			t.Fatalf("step %d: JSON %s, want %s (%v)", step, text, wantText, err)
		}
		var again Lengths
		if err := json.Unmarshal(text, &again); err != nil || !maps.Equal(again.byName(), want) {
			t.Fatalf("step %d: read %v, want %v (%v)", step, again, want, err)
		}
		l = again
	}
}
