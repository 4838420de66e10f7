package store_test

import (
	"slices"
	"testing"

	"terrine/store"
)

func TestTops(t *testing.T) {
	one, two, three := &store.Info{Path: "/nix/store/1"}, &store.Info{Path: "/nix/store/2"}, &store.Info{Path: "/nix/store/3"}
	one.References = []store.Path{one.Path, two.Path}
	three.References = []store.Path{two.Path}
	want := []store.Path{three.Path, one.Path}
	if got := store.Tops([]*store.Info{three, two, one, three}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
