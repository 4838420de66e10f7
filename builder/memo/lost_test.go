package memo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/store/fault"
)

// keepSegment keeps a scaffold and parts of a segment, and says so in rows.
func keepSegment(t *testing.T, m *Memo, k digest.Digest) {
	t.Helper()
	w, err := m.KeepEncoded(k, "codec")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"first part", "second part"} {
		if err := w.Add([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(1); err != nil {
		t.Fatal(err)
	}
	if err := m.KeepScaffold(k, "/nix/store/x", &layer.Scaffold{Size: 1024, Entries: 1}, 1); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func losses(t *testing.T, m *Memo, keys ...digest.Digest) (said []string) {
	t.Helper()
	found, err := m.Losses(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range found {
		said = append(said, fmt.Sprintf("%d %s: %s", l.Segment, l.What, l.Why))
	}
	slices.Sort(said)
	return said
}

// TestLosses: a file that is cut, longer, gone or dropped by Verify is a loss until
// it is kept again; one that GC has removed is none.
func TestLosses(t *testing.T) {
	other := digest.FromString("other")
	for name, test := range map[string]struct {
		do   func(t *testing.T, m *Memo, parts, scaffold string)
		want []string
	}{
		"nothing": {do: func(*testing.T, *Memo, string, string) {}},
		"cut": {
			do: func(t *testing.T, _ *Memo, parts, _ string) {
				if err := os.Truncate(parts, 8); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"1 compressed parts: 8 bytes instead of 57"},
		},
		"removed": {
			do: func(t *testing.T, _ *Memo, parts, scaffold string) {
				if err := os.Remove(parts); err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(scaffold); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"1 compressed parts: missing", "1 scaffold: missing"},
		},
		"verified": {
			do: func(t *testing.T, m *Memo, _, scaffold string) {
				b, err := os.ReadFile(scaffold)
				if err != nil {
					t.Fatal(err)
				}
				b[0] ^= 1
				if err := os.WriteFile(scaffold, b, 0o600); err != nil {
					t.Fatal(err)
				}
				if r, err := m.Verify(t.Context()); err != nil || r.Files != 1 {
					t.Fatalf("verify: %+v, %v", r, err)
				}
			},
			want: []string{"1 scaffold: missing"},
		},
		"evicted": {do: func(t *testing.T, m *Memo, _, _ string) {
			if r, err := m.GC(t.Context(), Limits{MaxSize: 1}, false); err != nil || r.Files != 4 {
				t.Fatalf("gc: %+v, %v", r, err)
			}
		}},
		"one of two evicted": {do: func(t *testing.T, m *Memo, parts, _ string) {
			if err := os.Chtimes(parts, m.Now().AddDate(0, 0, -2), m.Now().AddDate(0, 0, -2)); err != nil {
				t.Fatal(err)
			}
			if r, err := m.GC(t.Context(), Limits{OlderThan: 24 * 3600e9}, false); err != nil || r.Files != 1 {
				t.Fatalf("gc: %+v, %v", r, err)
			}
			segments, err := m.Segments(t.Context())
			if row := segments[key]; err != nil || row.Entries != 1 || len(row.Encoded) != 0 || len(row.Files) != 1 {
				t.Errorf("the row of the other: %+v (%v)", row, err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := open(t, t.TempDir())
			keepSegment(t, m, key)
			keepSegment(t, m, other)
			if said := losses(t, m, other, key, digest.FromString("unknown")); said != nil {
				t.Fatalf("losses of a sound memo: %q", said)
			}
			test.do(t, m, m.path(encodedKind("codec"), key), m.path(scaffoldKind, key))
			if said := losses(t, m, other, key); !slices.Equal(said, test.want) {
				t.Errorf("losses %q, want %q", said, test.want)
			}
			keepSegment(t, m, key)
			if said := losses(t, m, other, key); said != nil {
				t.Errorf("losses after all was kept again: %q", said)
			}
		})
	}
}

// TestGCThatIsStopped: wherever GC is stopped, nothing that it has removed counts as
// lost.
func TestGCThatIsStopped(t *testing.T) {
	other := digest.FromString("other")
	for n, done := 1, false; !done; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		left := 0 // of the looks at the clock, before GC is stopped
		m, err := Open(ctx, t.TempDir(), Options{Now: func() time.Time {
			if left--; left == 0 {
				cancel()
			}
			return time.Now()
		}})
		if err != nil {
			t.Fatal(err)
		}
		keepSegment(t, m, key)
		keepSegment(t, m, other)
		left = n
		_, err = m.GC(ctx, Limits{MaxSize: 1}, false)
		if done = err == nil; !done && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if said := losses(t, m, other, key); said != nil {
			t.Errorf("stopped at look %d at the clock: %q", n, said)
		}
		cancel()
	}
}

// TestForgetRemovesFilesThatWereFound: what is forgotten is not taken from the cache
// any more, also if its rows were lost and written again, and of what was noted of it no
// row is made.
func TestForgetRemovesFilesThatWereFound(t *testing.T) {
	m, _ := filled(t)
	if err := m.db.Replace(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if kept(m) != "abc" {
		t.Fatal("the parts are not there")
	}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: key}}); err != nil {
		t.Fatal(err)
	}
	if kept(m) != "abc" { // which is noted to be written by the next Save
		t.Fatal("the parts are not there")
	}
	a, c := digest.FromString("a"), digest.FromString("c")
	m.kept.addParts(a, "another", 5, 50, 2)
	if err := os.Remove(m.path(encodedKind("codec"), c)); err != nil {
		t.Fatal(err)
	}
	if err := m.Forget(t.Context(), []digest.Digest{a, c}); err != nil {
		t.Fatal(err)
	}
	if got := kept(m); got != "b" {
		t.Errorf("left %q, want b", got)
	}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: key}}); err != nil {
		t.Fatal(err)
	}
	if segments, err := m.Segments(t.Context()); err != nil || len(segments) != 1 {
		t.Errorf("rows of %v (%v), want one of b", segments, err)
	}
}

// TestLostRows: when a damaged database is begun anew, the layers whose rows can
// still be seen in it are told to be damaged, and others to be unknown. A strict
// memo does not begin anew.
func TestLostRows(t *testing.T) {
	dir := t.TempDir()
	m, _ := open(t, dir)
	rows := map[digest.Digest]Layer{}
	var keys []digest.Digest
	for i := range 3000 { // some pages, and more than one block of the search
		k := digest.FromString(fmt.Sprint(i))
		keys = append(keys, k)
		rows[k] = Layer{DiffID: key, Size: 5, Notes: []string{"a note that makes the row of a layer some longer than it would be else"}}
	}
	if err := m.Save(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	keepSegment(t, m, key)
	damage(t, filepath.Join(dir, dbName), keys[0])

	strict, err := Open(t.Context(), dir, Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := strict.Layers(t.Context(), keys); fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) == "" {
			t.Errorf("a strict memo says %v", err)
		}
	}
	m, warnings := open(t, dir)
	if s, err := m.Stat(t.Context()); err != nil || s.Segments+s.Layers != 0 { // those seen before the damage are not counted
		t.Errorf("stat %+v (%v)", s, err)
	}
	got, err := m.Layers(t.Context(), append(keys, digest.FromString("unknown"), key))
	if err != nil || len(*warnings) != 1 {
		t.Fatalf("%v, warnings %q", err, *warnings)
	}
	for i := range keys {
		if got[i] == nil || got[i].Known() || got[i].Gone != Damaged {
			t.Fatalf("layer %d: %+v", i, got[i])
		}
	}
	if got[len(keys)] != nil || got[len(keys)+1] != nil {
		t.Errorf("an unknown layer %+v, a segment %+v", got[len(keys)], got[len(keys)+1])
	}
	// Made again, it is known again.
	if err := m.Save(t.Context(), map[digest.Digest]Layer{keys[7]: rows[keys[7]]}); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Layers(t.Context(), keys[7:8]); err != nil || !got[0].Known() || got[0].Gone != "" {
		t.Errorf("after it was made again: %+v, %v", got[0], err)
	}
}

// damage changes a byte of the value behind a key in a file.
func damage(t *testing.T, file string, k digest.Digest) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for at := 0; at+len(k)+200 < len(b); at++ {
		if string(b[at:at+len(k)]) == k.String() {
			b[at+len(k)+150] ^= 0x20
			changed++
		}
	}
	if changed == 0 {
		t.Fatalf("%s has no %s", file, k)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
