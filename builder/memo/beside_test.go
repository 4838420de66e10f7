package memo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/store/fault"
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

// TestOpenAfterDeletion: who deletes the directory while a build writes into it, and then
// stops that, leaves some blobs. They are the memo's still, and those of others are not.
func TestOpenAfterDeletion(t *testing.T) {
	dir := t.TempDir()
	m, _ := open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	keepParts(t, m, []byte("part"))
	m, _ = open(t, dir)
	if e := m.Encoded(key, "codec"); e == nil {
		t.Error("what was kept is not found")
	} else {
		e.Close()
	}
	if _, err := os.Stat(filepath.Join(dir, "CACHEDIR.TAG")); err != nil {
		t.Error(err)
	}

	other := filepath.Join(t.TempDir(), blobDir)
	for _, path := range []string{m.path("x", key), "ab/x"} {
		file := filepath.Join(other, filepath.Base(filepath.Dir(path)), filepath.Base(path))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("a file of others"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), filepath.Dir(other), Options{}); fault.CodeOf(err) != fault.Refused {
			t.Errorf("Open beside %s returns %v", file, err)
		}
		if err := os.RemoveAll(other); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeletionBeside: of what somebody deletes while the memo is open, nothing is left to
// look at, and that is no error.
func TestDeletionBeside(t *testing.T) {
	for what, do := range map[string]func(*Memo) error{
		"Stat":   func(m *Memo) error { _, err := m.Stat(t.Context()); return err },
		"GC":     func(m *Memo) error { _, err := m.GC(t.Context(), Limits{MaxSize: 1}, false); return err },
		"Verify": func(m *Memo) error { _, err := m.Verify(t.Context()); return err },
		"Clear":  func(m *Memo) error { _, err := m.Clear(t.Context()); return err },
	} {
		dir := t.TempDir()
		m, _ := open(t, dir)
		keepParts(t, m, []byte("part"))
		if err := os.RemoveAll(filepath.Join(dir, blobDir)); err != nil {
			t.Fatal(err)
		}
		if err := do(m); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
