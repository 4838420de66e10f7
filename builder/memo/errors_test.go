package memo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/store/fault"
)

// TestErrorsOfTheDatabase: what cannot be read or written is told by all who were asked.
func TestErrorsOfTheDatabase(t *testing.T) {
	m, _ := filled(t)
	m.o.Strict = true
	if err := os.Truncate(filepath.Join(m.dir, dbName), 0); err != nil {
		t.Fatal(err)
	}
	ctx, keys := t.Context(), []digest.Digest{digest.FromString("a")}
	for name, do := range map[string]func() error{
		"Layers":     func() error { _, err := m.Layers(ctx, keys); return err },
		"Output":     func() error { _, err := m.Output(ctx, "/out"); return err },
		"Segments":   func() error { _, err := m.Segments(ctx); return err },
		"Losses":     func() error { _, err := m.Losses(ctx, keys); return err },
		"Stat":       func() error { _, err := m.Stat(ctx); return err },
		"Save":       func() error { return m.Save(ctx, map[digest.Digest]Layer{key: {}}) },
		"SaveOutput": func() error { return m.SaveOutput(ctx, "/out", Output{}) },
		"Forget":     func() error { return m.Forget(ctx, keys) },
		"GC":         func() error { _, err := m.GC(ctx, Limits{MaxSize: 1}, false); return err },
	} {
		if err := do(); fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := kept(m); got != "abc" {
		t.Errorf("left %q of files whose rows could not be changed", got)
	}
}

// TestFilesThatCannotBeWritten: whatever could not be kept, or looked at, is told.
func TestFilesThatCannotBeWritten(t *testing.T) {
	m, _ := open(t, t.TempDir())
	keepSegment(t, m, digest.FromString("kept"))
	blobs := filepath.Join(m.dir, blobDir)
	if err := os.RemoveAll(blobs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blobs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, keep := range map[string]func() error{
		"KeepClosure":  func() error { return m.KeepClosure(key, testClosure()) },
		"KeepDivision": func() error { return m.KeepDivision(key, testDivision) },
		"KeepScaffold": func() error { return m.KeepScaffold(key, "/nix/store/x", &layer.Scaffold{}, 1) },
		"KeepEncoded":  func() error { _, err := m.KeepEncoded(key, "codec"); return err },
	} {
		if err := keep(); err == nil {
			t.Errorf("%s says nothing", name)
		}
	}
	if lost, err := m.Losses(t.Context(), []digest.Digest{digest.FromString("kept")}); err == nil {
		t.Errorf("files that cannot be looked at are lost: %v", lost)
	}
}

// TestWritesThatFail: they name the file that was to be, and leave none.
func TestWritesThatFail(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	check := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), tempPrefix) {
			t.Errorf("%s: %v, want an error that names %s", what, err, path)
		}
	}
	w, err := newChunkWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.f.Close(); err != nil {
		t.Fatal(err)
	}
	check("add", w.add([]byte("chunk")))
	check("commit", w.commit(1))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left %v (%v)", entries, err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = writeChunk(path, []byte("chunk"), 1)
	check("publish in the place of a directory", err)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left %v (%v)", entries, err)
	}
}
