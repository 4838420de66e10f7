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

// TestLengthsAreReadAsAMapIs, however they are written, and refused as that is.
func TestLengthsAreReadAsAMapIs(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"a":1}`, `{"a":1,"b":-2}`, `{ "a" : 1 , "b" : 2 }`, `{"b":2,"a":1}`, `{"a":1,"a":2}`, `null`,
		`{"a\u0062":1}`, `{"\"":1}`, `{"a\\":1}`, `{"a\":1":2}`, `{"ä":1}`, `{"a":1e2}`, `{"a":1.5}`, `{"a":"1"}`, `{"a":9223372036854775808}`,
		`{"a":{}}`, `{"a":null}`, `{"a":{"b":1},"c":2}`, `{"a":1,"b":{}}`, `[]`, `{"a,b}":1,"a:c":2}`, `{"":3}`,
	} {
		var got Lengths
		var want map[string]int64
		err, wantErr := json.Unmarshal([]byte(text), &got), json.Unmarshal([]byte(text), &want)
		if (err == nil) != (wantErr == nil) || err == nil && !maps.Equal(got.byName(), want) {
			t.Errorf("%s is read as %v (%v), by a map as %v (%v)", text, got, err, want, wantErr)
		}
	}
}
