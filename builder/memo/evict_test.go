package memo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/store"
	"terrine/store/durable"
)

// filled returns a memo that holds three encoded segments of 1000 bytes, used
// one hour after the other, and a layer, and the clock at the last.
func filled(t *testing.T) (*Memo, *time.Time) {
	t.Helper()
	now := time.Unix(1e9, 0)
	m, err := Open(t.Context(), t.TempDir(), Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		k := digest.FromString(name)
		w, err := m.KeepEncoded(k, "codec")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(1); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
		if err := os.Chtimes(m.path(encodedKind("codec"), k), now, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: key}}); err != nil {
		t.Fatal(err)
	}
	return m, &now
}

func kept(m *Memo) (names string) {
	for _, name := range []string{"a", "b", "c"} {
		if e := m.Encoded(digest.FromString(name), "codec"); e != nil {
			names += name
			e.Close()
		}
	}
	return names
}

func TestGC(t *testing.T) {
	for name, test := range map[string]struct {
		limits Limits
		later  time.Duration
		kept   string
		layers int
	}{
		"no limit":         {kept: "abc"},
		"size":             {limits: Limits{MaxSize: 2500}, kept: "bc"},
		"nothing fits":     {limits: Limits{MaxSize: 1}, kept: ""},
		"age":              {limits: Limits{OlderThan: 90 * time.Minute}, kept: "bc"},
		"age of all":       {limits: Limits{OlderThan: time.Hour}, later: 48 * time.Hour, kept: "", layers: 1},
		"known files stay": {later: 48 * time.Hour, kept: "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			m, now := filled(t)
			*now = now.Add(test.later)
			would, err := m.GC(t.Context(), test.limits, true)
			if err != nil || kept(m) != "abc" {
				t.Fatalf("a dry run leaves %q (%v)", kept(m), err)
			}
			if s, err := m.Stat(t.Context()); err != nil || s.Segments != 3 || s.Layers != 1 {
				t.Fatalf("a dry run leaves rows %+v (%v)", s, err)
			}
			// Reading marks as used: go back to what was before.
			for i, name := range []string{"a", "b", "c"} {
				at := time.Unix(1e9, 0).Add(time.Duration(i+1) * time.Hour)
				if err := os.Chtimes(m.path(encodedKind("codec"), digest.FromString(name)), at, at); err != nil {
					t.Fatal(err)
				}
			}
			did, err := m.GC(t.Context(), test.limits, false)
			if err != nil || did != would || did.Files != 3-len(test.kept) || did.Layers != test.layers {
				t.Errorf("removed %+v, a dry run %+v (%v)", did, would, err)
			}
			if got := kept(m); got != test.kept {
				t.Errorf("left %q, want %q", got, test.kept)
			}
			rows, err := m.Layers(t.Context(), []digest.Digest{key})
			if err != nil || rows[0] == nil || rows[0].Known() != (test.layers == 0) || (test.layers > 0) != (rows[0].Gone == Evicted) {
				t.Errorf("layer row %+v (%v)", rows[0], err)
			}
			if s, err := m.Stat(t.Context()); err != nil || s.Segments != len(test.kept) || s.Layers != 1-test.layers {
				t.Errorf("left rows %+v (%v)", s, err)
			}
		})
	}
}

func TestGCRemovesWhatCrashesLeave(t *testing.T) {
	m, now := filled(t)
	w, err := m.KeepEncoded(digest.FromString("crashed"), "codec")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add([]byte("part")); err != nil {
		t.Fatal(err)
	}
	*now = time.Now().Add(time.Minute)
	if r, err := m.GC(t.Context(), Limits{MaxSize: 1 << 20}, false); err != nil || r.Files != 0 {
		t.Errorf("removed %+v of a build under way (%v)", r, err)
	}
	if r, err := m.Verify(t.Context()); err != nil || r.Files != 0 {
		t.Errorf("verify removed %+v of a build under way (%v)", r, err)
	}
	if err := w.Add([]byte("another")); err != nil {
		t.Fatal(err)
	}
	before := kept(m)
	if r, err := m.GC(t.Context(), Limits{OlderThan: 1, MaxSize: 1}, false); err != nil || r.Files != len(before) {
		t.Errorf("removed %+v and a build under way (%v)", r, err)
	}
	if r, err := m.Clear(t.Context()); err != nil || r.Files != 0 {
		t.Errorf("cleared %+v of a build under way (%v)", r, err)
	}
	*now = time.Now().Add(2 * orphanAge)
	replacing := filepath.Join(m.dir, ".db.bolt.0123456789abcdef")
	if err := os.WriteFile(replacing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := m.GC(t.Context(), Limits{}, false); err != nil || r.Files != 1 {
		t.Errorf("removed %+v, want one file (%v)", r, err)
	}
	if _, err := os.Lstat(replacing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a database is left (%v)", err)
	}
}

// TestGCLeavesFilesBeforeTheirRows: a build saves rows in the end.
func TestGCLeavesFilesBeforeTheirRows(t *testing.T) {
	m, now := filled(t)
	if err := m.db.Replace(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if r, err := m.GC(t.Context(), Limits{}, false); err != nil || r.Files != 0 {
		t.Errorf("removed %+v, which a build may be about to save (%v)", r, err)
	}
	*now = now.Add(2 * orphanAge)
	if r, err := m.GC(t.Context(), Limits{}, false); err != nil || r.Files != 3 {
		t.Errorf("removed %+v, want all files (%v)", r, err)
	}
}

// TestReadingMarksAsUsed: GC leaves what was read last.
func TestReadingMarksAsUsed(t *testing.T) {
	m, now := filled(t)
	*now = now.Add(time.Minute)
	m.Encoded(digest.FromString("a"), "codec").Close()
	if r, err := m.GC(t.Context(), Limits{MaxSize: 2500}, false); err != nil || r.Files != 1 || kept(m) != "ac" {
		t.Errorf("removed %+v and left %q, want b removed (%v)", r, kept(m), err)
	}
}

func TestVerifyAndClear(t *testing.T) {
	m, _ := filled(t)
	if r, err := m.Verify(t.Context()); err != nil || r.Files != 0 {
		t.Errorf("verify of a sound cache: %+v, %v", r, err)
	}
	if err := os.WriteFile(m.path(encodedKind("codec"), digest.FromString("b")), make([]byte, 1100), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := m.Verify(t.Context()); err != nil || r.Files != 1 || r.Bytes != 1100 || kept(m) != "ac" {
		t.Errorf("verify: %+v, %v, left %q", r, err, kept(m))
	}
	s, err := m.Stat(t.Context())
	if err != nil || s.Layers != 1 || s.Segments != 3 || s.Files != 2 || s.Bytes < 2000 || s.Dir != m.dir {
		t.Errorf("stat %+v, %v", s, err)
	}
	if r, err := m.Clear(t.Context()); err != nil || r.Files != 2 || r.Bytes != s.Bytes || kept(m) != "" {
		t.Errorf("clear: %+v, %v", r, err)
	}
	if s, err := m.Stat(t.Context()); err != nil || s.Layers+s.Segments+s.Files != 0 {
		t.Errorf("stat after clear %+v, %v", s, err)
	}
}

// told notes what a Progress is told.
type told struct {
	stage string
	total int64
	done  int64
}

func (p *told) Stage(name string, total int64) { *p = told{stage: name, total: total} }
func (p *told) Add(n int64)                    { p.done += n }

// TestProgress: what looks at every file, or removes many, tells of all of them.
func TestProgress(t *testing.T) {
	m, _ := filled(t)
	p := &told{}
	m.o.Progress = p
	files, err := m.files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for _, f := range files {
		bytes += f.size
	}
	for _, c := range []struct {
		stage string
		do    func(context.Context) (Removal, error)
	}{
		{"verify", m.Verify},
		{"remove", func(ctx context.Context) (Removal, error) { return m.GC(ctx, Limits{MaxSize: 1}, true) }},
		{"remove", func(ctx context.Context) (Removal, error) { return m.GC(ctx, Limits{MaxSize: 1}, false) }},
	} {
		if _, err := c.do(t.Context()); err != nil || *p != (told{c.stage, bytes, bytes}) {
			t.Errorf("%s of %d bytes: told %+v, %v", c.stage, bytes, *p, err)
		}
	}
	m, _ = filled(t)
	m.o.Progress = p
	if _, err := m.Clear(t.Context()); err != nil || *p != (told{"remove", bytes, bytes}) {
		t.Errorf("Clear of %d bytes: told %+v, %v", bytes, *p, err)
	}
}

// stopper stops what is told of after the first file.
type stopper struct{ stop context.CancelFunc }

func (stopper) Stage(string, int64) {}
func (s stopper) Add(int64)         { s.stop() }

// TestStoppedClear leaves files of which nothing is known, and no rows of files that
// are gone, which would be damage.
func TestStoppedClear(t *testing.T) {
	m, _ := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	m.o.Progress = stopper{cancel}
	if r, err := m.Clear(ctx); !errors.Is(err, context.Canceled) || r.Files != 1 {
		t.Errorf("Clear that is stopped: %+v, %v; want one file removed", r, err)
	}
	if s, err := m.Stat(t.Context()); err != nil || s.Segments+s.Layers != 0 || s.Files != 2 {
		t.Errorf("it leaves %+v (%v); want two files alone", s, err)
	}
	m.o.Progress = silent{}
	if r, err := m.Clear(t.Context()); err != nil || r.Files != 2 {
		t.Errorf("Clear after it: %+v, %v", r, err)
	}
}

// TestClearOnAFullDisk: there is room when the files are gone.
func TestClearOnAFullDisk(t *testing.T) {
	m, _ := filled(t)
	full := true
	o := Options{Durable: durable.Options{NoSync: true, Fail: func(point string) error {
		if full && point == "file.written" {
			return syscall.ENOSPC
		}
		return nil
	}}}
	m, err := Open(t.Context(), m.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	m.o.Progress = stopper{func() { full = false }}
	if r, err := m.Clear(t.Context()); err != nil || r.Files != 3 || r.Layers != 1 {
		t.Errorf("Clear: %+v, %v; want 3 files and a layer", r, err)
	}
	if s, err := m.Stat(t.Context()); err != nil || s.Layers+s.Segments+s.Files != 0 {
		t.Errorf("it leaves %+v (%v)", s, err)
	}
}

// TestRowsFollowFiles: what GC has removed of a segment is not listed any more,
// and what Clear removes it counts.
func TestRowsFollowFiles(t *testing.T) {
	m, _ := filled(t)
	if _, err := m.GC(t.Context(), Limits{MaxSize: 2500}, false); err != nil {
		t.Fatal(err)
	}
	segments, err := m.Segments(t.Context())
	if _, listed := segments[digest.FromString("a")]; err != nil || listed || len(segments) != 2 {
		t.Errorf("%d segments, the one that is gone among them: %v (%v)", len(segments), listed, err)
	}
	r, err := m.Clear(t.Context())
	if err != nil || r.Files != 2 || r.Layers != 1 {
		t.Errorf("clear removes %+v (%v), want 2 files and 1 layer", r, err)
	}
}

// TestFoundFilesAreKnown: when the database is lost, the files that a build has
// found get their rows again.
func TestFoundFilesAreKnown(t *testing.T) {
	m, _ := filled(t)
	k := digest.FromString("a")
	if err := m.db.Replace(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	path := store.Path("/nix/store/00000000000000000000000000000000-a")
	m.FoundScaffold(k, path, &layer.Scaffold{Size: 1024, Content: 5, Entries: 2})
	if e := m.Encoded(k, "codec"); e == nil {
		t.Fatal("the parts are not there")
	} else {
		e.Close()
	}
	if err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if segments, err := m.Segments(t.Context()); err != nil || len(segments) != 0 {
		t.Errorf("rows are written though no layer is new: %v (%v)", segments, err)
	}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: key}}); err != nil {
		t.Fatal(err)
	}
	segments, err := m.Segments(t.Context())
	got := segments[k]
	if err != nil || got.Path != string(path) || got.Size != 1024 || got.Entries != 2 || got.Encoded.byName()["codec"] != 1000 {
		t.Errorf("%+v (%v)", got, err)
	}
	// Such rows go with the files, too.
	if _, err := m.GC(t.Context(), Limits{MaxSize: 1}, false); err != nil || kept(m) != "" {
		t.Errorf("gc leaves %q (%v)", kept(m), err)
	}
	if segments, err := m.Segments(t.Context()); err != nil || len(segments) != 0 {
		t.Errorf("rows of what is gone: %v (%v)", segments, err)
	}
}
