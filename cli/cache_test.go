package cli

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/builder/memo"
)

// TestCachedRowsAreInOneOrder: segments of one path and size have an order too.
func TestCachedRowsAreInOneOrder(t *testing.T) {
	segments := map[digest.Digest]memo.Segment{}
	for i := range 8 {
		segments[digest.FromString(fmt.Sprint(i))] = memo.Segment{Path: "/nix/store/p", Size: 512, Entries: i}
	}
	want := cachedRows(segments)
	for range 20 {
		if diff := cmp.Diff(want, cachedRows(segments)); diff != "" {
			t.Fatalf("another order:\n%s", diff)
		}
	}
}
