package builder

import (
	"os"
	"path/filepath"
	"testing"

	"terrine/builder/layer/codec"
)

// TestSourceThatChangesIsNotRemembered: a file from outside the store is read for
// the key of the root layer, and again when that is packed. What it was in between
// must not be remembered as what it was before.
func TestSourceThatChangesIsNotRemembered(t *testing.T) {
	for _, c := range []codec.Codec{codec.None(), streams(t)["compressed layers"].LayerCodec} {
		s := newHostStore(t)
		o := s.options()
		o.Memo, _ = openMemo(t, t.TempDir())
		source := filepath.Join(t.TempDir(), "conf")
		put := func(text string) {
			if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		plan := func() *Plan {
			put("before")
			p, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","tag":"1","contents":["@app"],"files":{"etc/conf":{"source":"`+source+`"}}}`), o)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		out := Output{Path: filepath.Join(t.TempDir(), "image.tar"), LayerCodec: c}
		p := plan()
		put("after!")
		changed, err := p.WriteArchive(t.Context(), out, o)
		if err != nil {
			t.Fatal(err)
		}
		result, err := plan().WriteArchive(t.Context(), out, o)
		if err != nil || result.Unchanged || result.Digest == changed.Digest {
			t.Errorf("%s: %v; the image of before is %+v, that of after %s", c.ID(), err, result, changed.Digest)
		}
	}
}
