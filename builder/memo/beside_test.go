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
		old := m.Now().AddDate(0, 0, -2)
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

// atStage calls do when a stage of that name begins.
type atStage struct {
	silent
	name string
	do   func()
}

func (a atStage) Stage(name string, _ int64) {
	if name == a.name {
		a.do()
	}
}

// TestFilesThatAreKeptMeanwhile: what a build keeps while GC or Clear removes files
// is not removed in the place of what stood there, so that its rows are right.
func TestFilesThatAreKeptMeanwhile(t *testing.T) {
	for name, remove := range map[string]func(m *Memo) (Removal, error){
		"gc":    func(m *Memo) (Removal, error) { return m.GC(t.Context(), Limits{MaxSize: 1}, false) },
		"clear": func(m *Memo) (Removal, error) { return m.Clear(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := open(t, t.TempDir())
			old := time.Now().Add(-time.Hour)
			for _, k := range []digest.Digest{key, digest.FromString("other")} {
				keepSegment(t, m, k)
				for _, kind := range []string{scaffoldKind, encodedKind("codec")} {
					if err := os.Chtimes(m.path(kind, k), old, old); err != nil {
						t.Fatal(err)
					}
				}
			}
			m.o.Progress = atStage{name: "remove", do: func() { keepSegment(t, m, key) }}
			if r, err := remove(m); err != nil || r.Files != 2 {
				t.Errorf("%+v (%v), want 2 files removed", r, err)
			}
			if said := losses(t, m, key); said != nil {
				t.Errorf("lost: %q", said)
			}
			if b, _ := m.Scaffold(key); b == nil {
				t.Error("the scaffold is gone")
			}
		})
	}
}

// TestVerifyBesideABuild: what a build is writing is not verified, and not promised to
// be.
func TestVerifyBesideABuild(t *testing.T) {
	m, _ := open(t, t.TempDir())
	keepSegment(t, m, key)
	w, err := m.KeepEncoded(key, "another")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Add([]byte("part")); err != nil {
		t.Fatal(err)
	}
	p := &told{}
	m.o.Progress = p
	if r, err := m.Verify(t.Context()); err != nil || r.Files != 0 || p.done == 0 || p.done != p.total {
		t.Errorf("%+v, told %+v (%v)", r, *p, err)
	}
}
