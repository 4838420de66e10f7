package memo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/store/fault"
)

func open(t *testing.T, dir string) (*Memo, *[]string) {
	t.Helper()
	var warnings []string
	m, err := Open(t.Context(), dir, Options{Warn: func(s string) { warnings = append(warnings, s) }})
	if err != nil {
		t.Fatal(err)
	}
	return m, &warnings
}

var key = digest.FromString("key")

func TestLayersAndOutputsSurvive(t *testing.T) {
	dir := t.TempDir()
	m, _ := open(t, dir)
	want := Layer{DiffID: digest.FromString("diff"), Size: 5, Notes: []string{"note"}, Blobs: map[string]Blob{"gzip": {Size: 3}}}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: want}); err != nil {
		t.Fatal(err)
	}
	more := Layer{DiffID: want.DiffID, Size: 5, Blobs: map[string]Blob{"zstd": {Size: 2}}}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: more}); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: want.DiffID, Size: 5}}); err != nil {
		t.Fatal(err)
	}
	if err := m.SaveOutput(t.Context(), "/out", Output{Key: key, Stat: "stat"}); err != nil {
		t.Fatal(err)
	}
	m, _ = open(t, dir)
	got, err := m.Layers(t.Context(), []digest.Digest{digest.FromString("other"), key})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Known() || !got[1].Known() || got[1].DiffID != want.DiffID || len(got[1].Blobs) != 2 {
		t.Errorf("got %+v, %+v", got[0], got[1])
	}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: digest.FromString("changed")}}); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Layers(t.Context(), []digest.Digest{key}); err != nil || len(got[0].Blobs) != 0 {
		t.Errorf("blobs of what the layer was: %+v (%v)", got[0], err)
	}
	out, err := m.Output(t.Context(), "/out")
	if err != nil || out == nil || out.Stat != "stat" || out.Key != key {
		t.Errorf("output %+v, %v", out, err)
	}
	if out, err := m.Output(t.Context(), "/other"); out != nil || err != nil {
		t.Errorf("unknown output %+v, %v", out, err)
	}
}

// TestOpenTakesNoOtherDirectory holds GC, Verify and Clear from the blobs of an
// image layout.
func TestOpenTakesNoOtherDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); fault.CodeOf(err) != fault.Refused {
		t.Errorf("Open returns %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("Open left %v (%v)", entries, err)
	}
	for _, lost := range []string{"CACHEDIR.TAG", "db.bolt"} {
		dir := t.TempDir()
		open(t, dir)
		if err := os.Remove(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir, Options{}); fault.CodeOf(err) == fault.Refused {
			t.Errorf("Open without %s returns %v", lost, err)
		}
	}
}

func keepParts(t *testing.T, m *Memo, parts ...[]byte) {
	t.Helper()
	w, err := m.KeepEncoded(key, "codec")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if err := w.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	if m.Encoded(key, "codec") != nil {
		t.Error("parts can be read before Commit")
	}
	if err := w.Commit(1); err != nil {
		t.Fatal(err)
	}
}

func TestEncodedParts(t *testing.T) {
	m, warnings := open(t, t.TempDir())
	parts := [][]byte{[]byte("first"), {}, bytes.Repeat([]byte("x"), 1<<20)}
	keepParts(t, m, parts...)
	e := m.Encoded(key, "codec")
	if e == nil || e.Len() != len(parts) {
		t.Fatalf("kept %v", e)
	}
	defer e.Close()
	for i, want := range parts {
		if got, ok := e.Append([]byte("before "), i); !ok || string(got) != "before "+string(want) {
			t.Errorf("part %d: %d bytes, %v", i, len(got), ok)
		}
	}
	if _, ok := e.Append(nil, len(parts)); ok {
		t.Error("a part beyond the last")
	}
	if m.Encoded(key, "other codec") != nil || m.Encoded(digest.FromString("other"), "codec") != nil {
		t.Error("parts of another codec or segment")
	}
	if asked := m.Asked(); asked[askedParts] != (Asked{Hits: 1, Misses: 3}) || len(m.Asked()) > 0 {
		t.Errorf("asked %+v", asked)
	}
	if len(*warnings) != 1 { // of the file that lacks a part
		t.Errorf("warnings %q", *warnings)
	}
}

// TestDamageIsFound flips every byte of a file in turn, and cuts it at every
// length.
func TestDamageIsFound(t *testing.T) {
	m, warnings := open(t, t.TempDir())
	parts := [][]byte{[]byte("first part"), []byte("second part")}
	keepParts(t, m, parts...)
	path := m.path(encodedKind("codec"), key)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte, what string, at int) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		*warnings = nil
		e := m.Encoded(key, "codec")
		ok := e != nil
		if ok {
			for i := range parts {
				got, good := e.Append(nil, i)
				ok = ok && good && bytes.Equal(got, parts[i])
			}
			e.Close()
		}
		if ok || len(*warnings) != 1 || !strings.Contains((*warnings)[0], path) {
			t.Errorf("%s at %d is not found, or not told once: %q", what, at, *warnings)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s at %d: the file is still there", what, at)
		}
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		check(b, "a flipped bit", i)
		check(whole[:i], "the end", i)
	}
}

// TestWhatIsNoFile in the place of a file is damage too: it is dropped, and the file
// made again. A FIFO is not waited for.
func TestWhatIsNoFile(t *testing.T) {
	for what, place := range map[string]func(path string) error{
		"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.MkdirAll(filepath.Join(path, "more"), 0o700) },
	} {
		t.Run(what, func(t *testing.T) {
			m, warnings := open(t, t.TempDir())
			keepParts(t, m, []byte("part"))
			path := m.path(encodedKind("codec"), key)
			if err := errors.Join(os.Remove(path), place(path)); err != nil {
				t.Fatal(err)
			}
			if m.Encoded(key, "codec") != nil || len(*warnings) != 1 || !strings.Contains((*warnings)[0], path) {
				t.Errorf("it is not found, or not told once: %q", *warnings)
			}
			keepParts(t, m, []byte("part"))
			e := m.Encoded(key, "codec")
			if e == nil {
				t.Fatal("what is made again is not found")
			}
			e.Close()
		})
	}
}

func TestDamagedDatabaseIsBegunAnew(t *testing.T) {
	dir := t.TempDir()
	m, _ := open(t, dir)
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: key}}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "db.bolt"), 0); err != nil {
		t.Fatal(err)
	}
	m, warnings := open(t, dir)
	got, err := m.Layers(t.Context(), []digest.Digest{key})
	if err != nil || got[0] != nil || len(*warnings) != 1 {
		t.Fatalf("got %+v, %v, warnings %q", got[0], err, *warnings)
	}
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: key}}); err != nil {
		t.Fatal(err)
	}
	if got, err = m.Layers(t.Context(), []digest.Digest{key}); err != nil || !got[0].Known() {
		t.Errorf("not remembered after the new beginning: %+v, %v", got[0], err)
	}
}

// TestDatabaseThatIsNoFile is not waited for, where it is a FIFO.
func TestDatabaseThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	m, warnings := open(t, dir)
	if err := m.Save(t.Context(), map[digest.Digest]Layer{key: {DiffID: key}}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, dbName)
	if err := errors.Join(os.Remove(name), syscall.Mkfifo(name, 0o600)); err != nil {
		t.Fatal(err)
	}
	got, err := m.Layers(t.Context(), []digest.Digest{key})
	if err != nil || got[0] != nil || len(*warnings) != 1 {
		t.Errorf("got %+v, %v, warnings %q", got[0], err, *warnings)
	}
}

// TestDamagedDatabaseThatStays tells why on one line.
func TestDamagedDatabaseThatStays(t *testing.T) {
	dir := t.TempDir()
	m, _ := open(t, dir)
	lock := filepath.Join(dir, "db.lock")
	if err := errors.Join(os.Truncate(filepath.Join(dir, dbName), 0), os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	_, err := m.Layers(t.Context(), []digest.Digest{key})
	if fault.CodeOf(err) != fault.StoreDamaged || !strings.Contains(err.Error(), lock) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	m, _ := open(t, dir)
	w, err := m.KeepEncoded(key, "codec")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add([]byte("part")); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	err = filepath.WalkDir(filepath.Join(dir, blobDir), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFilesOfAnOlderVersion are as good as absent, and nothing that anybody has to
// be told of.
func TestFilesOfAnOlderVersion(t *testing.T) {
	m, told := open(t, t.TempDir())
	keepParts(t, m, []byte("one"))
	path := m.path(encodedKind("codec"), key)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[len(b)-len(magic):], strings.Fields(oldMagics)[1])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if m.Encoded(key, "codec") != nil || len(*told) > 0 {
		t.Errorf("the file is taken, or told of: %q", *told)
	}
	keepParts(t, m, []byte("two"))
	if e := m.Encoded(key, "codec"); e == nil {
		t.Error("the file is not written over")
	} else {
		e.Close()
	}
	copy(b[len(b)-len(magic):], "terrible")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if m.Encoded(key, "codec") != nil || len(*told) != 1 {
		t.Errorf("a damaged end: told %q, want one line", *told)
	}
}

// TestErrorsNameNoTemporaryFile: what cannot be kept is told by the name that it would
// have had.
func TestErrorsNameNoTemporaryFile(t *testing.T) {
	m, _ := open(t, t.TempDir())
	path := m.path(divisionKind, key)
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil { // in the place of its directory
		t.Fatal(err)
	}
	err := m.KeepDivision(key, nil)
	if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), tempPrefix) {
		t.Errorf("%v: want an error that names %s", err, path)
	}
}
