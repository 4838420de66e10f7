package memo

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// duringWait is a context that calls do once, before the first transaction that writes.
type duringWait struct {
	context.Context
	do func()
}

func (c *duringWait) Done() <-chan struct{} {
	if do := c.do; do != nil {
		c.do = nil
		do()
	}
	return c.Context.Done()
}

// TestGCBesideABuild: what a build saves of a segment while GC finds out what to
// remove stays known, and what one forgets stays forgotten.
func TestGCBesideABuild(t *testing.T) {
	gcAll := func(t *testing.T, m *Memo, meanwhile func()) map[digest.Digest]Segment {
		t.Helper()
		ctx := &duringWait{t.Context(), meanwhile}
		if _, err := m.GC(ctx, Limits{OlderThan: 24 * time.Hour}, false); err != nil || ctx.do != nil {
			t.Fatalf("gc: %v", err)
		}
		segments, err := m.Segments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return segments
	}
	with := func(t *testing.T) *Memo {
		m, _ := open(t, t.TempDir())
		keepSegment(t, m, key)
		old := m.now().AddDate(0, 0, -2)
		if err := os.Chtimes(m.path(scaffoldKind, key), old, old); err != nil {
			t.Fatal(err)
		}
		return m
	}
	t.Run("saved", func(t *testing.T) {
		m := with(t)
		segments := gcAll(t, m, func() {
			m.kept.addParts(key, "another", 5, 50, 2)
			if err := m.Save(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		})
		s := segments[key]
		want := Lengths{{encodedKind("another"), 50}, {encodedKind("codec"), 57}}
		if !slices.Equal(s.Files, want) || s.Sum == nil || *s.Sum != 2 {
			t.Errorf("%+v: want files %v and sum 2", s, want)
		}
	})
	t.Run("forgotten", func(t *testing.T) {
		m := with(t)
		segments := gcAll(t, m, func() {
			if err := m.Forget(t.Context(), []digest.Digest{key}); err != nil {
				t.Fatal(err)
			}
		})
		if len(segments) > 0 {
			t.Errorf("it is there again: %+v", segments)
		}
	})
}
