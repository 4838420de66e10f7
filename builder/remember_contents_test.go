package builder

import (
	"errors"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/builder/memo"
	"terrine/builder/sink/archive"
	"terrine/layering"
)

// TestContents: a segment may have the sum that was expected, or any if none was; what
// was read of it comes before what was expected.
func TestContents(t *testing.T) {
	c := newContents()
	expected, read, both := digest.FromString("expected"), digest.FromString("read"), digest.FromString("both")
	c.expect(expected, 1)
	c.expect(both, 1)
	if !c.hold(read, 5) || !c.hold(both, 1) {
		t.Error("a segment may not be what it was, or what nobody expects")
	}
	if c.hold(both, 2) {
		t.Error("a segment may be another than it was")
	}
	for key, want := range map[digest.Digest]layer.Sum{expected: 1, read: 5, both: 2} {
		if sum, ok := c.sum(key); !ok || sum != want {
			t.Errorf("sum %d, %v, want %d", sum, ok, want)
		}
	}
	if sum, ok := c.sum(digest.FromString("unknown")); ok {
		t.Errorf("sum %d of what is not known", sum)
	}
}

// TestContradicted: layers that are others than rows say contradict them, in all of their
// segments; what rows say nothing of does not.
func TestContradicted(t *testing.T) {
	p, err := NewGraphPlan(t.Context(), "graph", closureOf(manyInfos(t, 9)...), layering.Options{MaxLayers: 3})
	if err != nil || len(p.Layers) != 3 {
		t.Fatalf("%d layers (%v)", len(p.Layers), err)
	}
	var rows []*memo.Layer
	var same []archive.Blob
	for i := range 4 { // that of the root comes last
		id := digest.FromString(string(rune('a' + i)))
		rows = append(rows, &memo.Layer{DiffID: id, Size: 5})
		same = append(same, archive.Blob{DiffID: id, Digest: id, Size: 5})
	}
	if err := p.contradicted(rows, same, codec.None()); err != nil {
		t.Errorf("what rows say contradicts them: %v", err)
	}
	for _, changed := range [][]int{{1}, {0, 2}, {3}} {
		blobs := slices.Clone(same)
		var want []digest.Digest
		for _, i := range changed {
			blobs[i].DiffID = digest.FromString("changed")
			for k := 0; i < 3 && k < p.Layers[i].Objects.Len(); k++ {
				want = append(want, layer.SegmentKey(p.policy, p.Layers[i].Objects.At(k)))
			}
		}
		err := p.contradicted(rows, blobs, codec.None())
		c, ok := errors.AsType[*contradiction](err)
		if !ok || !errors.Is(err, errRemembered) || !slices.Equal(c.segments, want) {
			t.Errorf("layers %d: %v, want a contradiction of %d segments", changed, err, len(want))
		}
		unknown := slices.Clone(rows)
		for _, i := range changed {
			unknown[i] = nil
		}
		if err := p.contradicted(unknown, blobs, codec.None()); err != nil {
			t.Errorf("layers %d: what is not known is contradicted: %v", changed, err)
		}
	}
}
