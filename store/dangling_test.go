package store

import (
	"strings"
	"testing"
)

// TestLostIsToldTheSameEachTime: a path that refers to several that are lost is lost
// for the first of them, whatever order a map has them in.
func TestLostIsToldTheSameEachTime(t *testing.T) {
	path := func(digit string) Path { return DefaultDir.path(strings.Repeat(digit, digestLen) + "-p") }
	absent, a, b, top := path("0"), path("1"), path("2"), path("3")
	for range 100 {
		found := map[string]*record{}
		for p, refs := range map[Path][]Path{a: {absent}, b: {absent}, top: {a, b}} {
			found[p.Base()] = &record{Info: Info{Path: p, References: refs}}
		}
		result := &Rebuilt{}
		dropDangling(found, result)
		if len(found) != 0 || len(result.Lost) != 3 {
			t.Fatalf("left %v, lost %v", found, result.Lost)
		}
		for _, lost := range result.Lost {
			if lost.Path == top && !strings.Contains(lost.Reason.Error(), a.Base()) {
				t.Fatalf("%s is lost since %v", top, lost.Reason)
			}
		}
	}
}
