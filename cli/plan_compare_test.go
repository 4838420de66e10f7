package cli

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/builder"
	"terrine/builder/planfile"
	"terrine/store"
)

// plannedLayers makes layers of numbered paths: {1, 2} holds two.
func plannedLayers(numbers ...[]int) []builder.PlannedLayer {
	var layers []builder.PlannedLayer
	for _, set := range numbers {
		l := builder.PlannedLayer{Key: digest.FromString(fmt.Sprint(set))}
		var objects store.ObjectList
		for _, n := range set {
			path := store.Path(fmt.Sprintf("/nix/store/%032d-p", n))
			objects = append(objects, store.Object{Info: store.Info{Path: path, NARSize: int64(n)}})
			l.Size += int64(n)
		}
		l.Objects = objects
		layers = append(layers, l)
	}
	return layers
}

// fileOf is what a file would say of layers.
func fileOf(kind string, layers []builder.PlannedLayer) *planfile.Plan {
	p := &planfile.Plan{Kind: kind}
	for i := range layers {
		l := planfile.Layer{Size: layers[i].Size, Paths: layers[i].Paths()}
		if kind == planfile.JSON {
			l.Key = layers[i].Key
		}
		p.Layers = append(p.Layers, l)
	}
	return p
}

func TestCompareLayers(t *testing.T) {
	old := plannedLayers([]int{1, 2}, []int{3}, []int{4, 5}, []int{6})
	now := plannedLayers([]int{1, 2}, []int{4, 5}, []int{3}, []int{6, 7})
	for _, kind := range []string{planfile.JSON, planfile.Archive} {
		got := compareLayers(fileOf(kind, old), now)
		want := &planfile.Comparison{
			Layers: []string{layerKept, layerKept, layerKept, layerNew},
			Gone:   []planfile.GoneLayer{{Size: 6, Paths: old[3].Paths()}},
			Kept:   3 + 9 + 3, Pull: 13, Chain: 9 + 3 + 13, // {3} and {4, 5} have changed places
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// A layer that another program has made is none of ours, whatever is in it.
func TestCompareForeign(t *testing.T) {
	layers := plannedLayers([]int{1, 2}, []int{3})
	old := fileOf(planfile.Archive, layers)
	old.Layers[0].Foreign = true
	got := compareLayers(old, layers)
	if got.Kept != 3 || got.Pull != 3 || got.Chain != 6 || len(got.Gone) != 1 {
		t.Errorf("with a foreign layer: %+v", got)
	}
}

// Whatever the layers: what is kept and what is pulled is all, a chain is at
// least what is pulled, and an image compared with itself needs nothing.
func TestCompareAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	random := func() []builder.PlannedLayer {
		var sets [][]int
		numbers := r.Perm(12)
		for len(numbers) > 0 {
			n := 1 + r.IntN(min(3, len(numbers)))
			set := numbers[:n]
			slices.Sort(set)
			sets, numbers = append(sets, set), numbers[n:]
		}
		return plannedLayers(sets[:r.IntN(len(sets)+1)]...)
	}
	for range 500 {
		old, now := random(), random()
		var all int64
		for _, l := range now {
			all += l.Size
		}
		byKey, byPath := compareLayers(fileOf(planfile.JSON, old), now), compareLayers(fileOf(planfile.Archive, old), now)
		if diff := cmp.Diff(byKey, byPath); diff != "" {
			t.Fatalf("by key and by path (-key +path):\n%s", diff)
		}
		fresh := 0
		for _, state := range byKey.Layers {
			if state == layerNew {
				fresh++
			}
		}
		if byKey.Kept+byKey.Pull != all || byKey.Chain < byKey.Pull || len(old)-len(byKey.Gone) != len(now)-fresh {
			t.Fatalf("of %d bytes %+v", all, byKey)
		}
		if same := compareLayers(fileOf(planfile.JSON, now), now); same.Pull != 0 || same.Chain != 0 || len(same.Gone) != 0 {
			t.Fatalf("with itself: %+v", same)
		}
	}
}
