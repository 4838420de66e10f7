package builder

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
	"terrine/builder/memo"
	"terrine/store"
	"terrine/store/fault"
)

// A history is a store path that gets damaged so that neither sizes nor times show
// it, and repaired, between builds with one memo.
type history struct {
	*hostStore
	t     *testing.T
	rng   *rand.Rand
	files map[string]string // of the store path, when it is whole
	times map[string]time.Time
	cache string
	o     Options
	kinds map[string]Output
	want  map[string][]byte // what is built without a memo, when it is whole
	log   []string
}

// The layers of a history. In all of them the damaged path is in another layer.
var layouts = []string{
	`{"name":"x","tag":"1","contents":["@app","@tool"]}`,
	`{"name":"x","tag":"1","contents":["@app","@tool"],"maxLayers":2}`,
	`{"name":"x","tag":"1","contents":["@app","@tool"],"maxLayers":3}`,
}

func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	h := &history{
		hostStore: &hostStore{},
		t:         t,
		rng:       rand.New(rand.NewPCG(seed, 0)),
		files:     map[string]string{"bin/app": "run", "bin/copy": "run", "bin/other": "sit", "share/doc": "text", "share/note": "next"},
		times:     map[string]time.Time{},
		cache:     t.TempDir(),
		kinds:     streams(t),
		want:      map[string][]byte{},
	}
	h.dir = store.Dir(filepath.Join(t.TempDir(), "store"))
	lib := h.add(t, "0", "lib", map[string]string{"lib/libx.so": "ELF"})
	app := h.add(t, "1", "app", h.files, lib)
	h.add(t, "2", "tool", map[string]string{"bin/tool": "tool"}, app)
	h.o = h.options()
	h.o.ContentDedup = h.rng.IntN(2) == 0
	for name := range h.files {
		info, err := os.Stat(h.path(name))
		if err != nil {
			t.Fatal(err)
		}
		h.times[name] = info.ModTime()
	}
	for kind := range h.kinds {
		for i := range layouts {
			b, err := h.build(kind, i, h.o)
			if err != nil {
				t.Fatal(err)
			}
			h.want[fmt.Sprint(kind, i)] = b
		}
	}
	h.o.Memo, _ = openMemo(t, h.cache)
	return h
}

func (h *history) path(name string) string { return filepath.Join(string(h.infos[1].Path), name) }

// put writes files of the store path, and leaves their times.
func (h *history) put(files map[string]string) {
	h.t.Helper()
	for name, text := range files {
		path := h.path(name)
		if err := errors.Join(os.Chmod(path, 0o755), os.WriteFile(path, []byte(text), 0o555), os.Chtimes(path, h.times[name], h.times[name])); err != nil {
			h.t.Fatal(err)
		}
	}
}

// damage makes files others, some of them equal to each other.
func (h *history) damage() {
	texts := map[int][]string{3: {"run", "rum", "sit", "\x00\x00\x00"}, 4: {"text", "next", "\x00\x00\x00\x00"}}
	damaged := map[string]string{}
	for len(damaged) == 0 {
		for _, name := range slices.Sorted(maps.Keys(h.files)) {
			text := texts[len(h.files[name])]
			if now := text[h.rng.IntN(len(text))]; now != h.files[name] && h.rng.IntN(2) == 0 {
				damaged[name] = now
			}
		}
	}
	h.log = append(h.log, fmt.Sprintf("damage %q", damaged))
	h.put(damaged)
}

func (h *history) build(kind string, layout int, o Options) ([]byte, error) {
	h.t.Helper()
	plan, err := NewPlan(h.t.Context(), h.spec(h.t, layouts[layout]), o)
	if err != nil {
		h.t.Fatal(err)
	}
	out := h.kinds[kind]
	out.Writer, out.Path, out.Force, out.NoSync = nil, filepath.Join(h.cache, "image"), true, true
	if _, err := plan.WriteArchive(h.t.Context(), out, o); err != nil {
		return nil, err
	}
	defer os.Remove(out.Path)
	return os.ReadFile(out.Path)
}

// pick builds one of the layouts in any way.
func (h *history) pick(verify []string, layouts ...int) (key string, _ []byte, _ error) {
	kinds := slices.Sorted(maps.Keys(h.kinds))
	kind, layout := kinds[h.rng.IntN(len(kinds))], layouts[h.rng.IntN(len(layouts))]
	o := h.o
	o.Verify = verify[h.rng.IntN(len(verify))]
	h.log = append(h.log, fmt.Sprintf("build %s, layout %d, verify %s", kind, layout, cmp.Or(o.Verify, "as always")))
	b, err := h.build(kind, layout, o)
	return fmt.Sprint(kind, layout), b, err
}

func (h *history) whole(verify []string, layouts ...int) {
	h.t.Helper()
	key, b, err := h.pick(verify, layouts...)
	if err != nil || !bytes.Equal(b, h.want[key]) {
		h.t.Fatalf("with content-dedup %v: other bytes than without a memo, %v:\n%q", h.o.ContentDedup, err, h.log)
	}
}

// evict removes some files of the memo.
func (h *history) evict() {
	h.t.Helper()
	if h.rng.IntN(3) == 0 {
		h.log = append(h.log, "collect all")
		if _, err := h.o.Memo.memo.GC(h.t.Context(), memo.Limits{MaxSize: 1}, false); err != nil {
			h.t.Fatal(err)
		}
		return
	}
	of := 1 + h.rng.IntN(4)
	h.log = append(h.log, fmt.Sprintf("evict one file of %d", of))
	err := filepath.WalkDir(filepath.Join(h.cache, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || h.rng.IntN(of) > 0 {
			return err
		}
		return os.Remove(path)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestHistoriesOfDamage: once a path is repaired, layers that have to be hashed are
// as without a memo, and so is all that comes after, whatever was remembered of the
// damaged path by builds of other layers, and whatever of that was evicted.
func TestHistoriesOfDamage(t *testing.T) {
	for seed := range uint64(60) {
		h := newHistory(t, seed)
		for range h.rng.IntN(3) {
			h.whole([]string{""}, 0, 1)
		}
		h.damage()
		for range 1 + h.rng.IntN(3) {
			_, _, err := h.pick([]string{"", "", VerifyNone}, 0, 1)
			if err != nil && fault.CodeOf(err) != fault.Integrity {
				t.Fatalf("%v: %q", err, h.log)
			}
		}
		h.put(h.files)
		h.log = append(h.log, "repair")
		if h.rng.IntN(2) == 0 {
			h.evict()
		}
		h.whole([]string{"", "", VerifyFull, VerifyNone}, 2)
		for range 4 {
			if h.rng.IntN(4) == 0 {
				h.evict()
			}
			h.whole([]string{"", "", VerifyFull, VerifyNone}, 0, 1, 2)
		}
	}
}

// TestProbeBelievesNothingOfRepairedPaths: builds have read what a path holds that
// was damaged before, and found nothing that was made of it: by verifying in full, or
// after all files of the memo were evicted. What was known of another layer with the
// path was of other bytes.
func TestProbeBelievesNothingOfRepairedPaths(t *testing.T) {
	probe := func(h *history, layout int, known bool) {
		t.Helper()
		plan, err := NewPlan(t.Context(), h.spec(t, layouts[layout]), h.o)
		if err != nil {
			t.Fatal(err)
		}
		if result, _, err := plan.Probe(t.Context(), h.o.Memo, codec.None()); err != nil || (result != nil) != known {
			t.Errorf("layout %d: probe knows %+v, %v", layout, result, err)
		}
	}
	for _, verify := range []string{VerifyMeta, VerifyFull} {
		h := newHistory(t, 1)
		h.put(map[string]string{"bin/app": "rum"})
		if _, err := h.build("gzip", 0, h.o); err != nil {
			t.Fatal(err)
		}
		h.put(h.files)
		probe(h, 0, true)
		o := h.o
		o.Verify = verify
		eachBlob(t, h.cache, func(_ int, path string) error { return os.Remove(path) })
		if _, err := h.build("plain", 2, o); err != nil {
			t.Fatal(err)
		}
		probe(h, 2, true)
		probe(h, 0, false)
	}
}

// TestPartsOfRepairedPaths: a path was damaged when it was compressed. A full
// verification that compresses nothing has then made its scaffold and its layer anew,
// and what was compressed goes with neither.
func TestPartsOfRepairedPaths(t *testing.T) {
	for _, kind := range []string{"gzip", "compressed layers"} {
		h := newHistory(t, 3)
		h.put(map[string]string{"bin/app": "rum"})
		if _, err := h.build(kind, 0, h.o); err != nil {
			t.Fatal(err)
		}
		h.put(h.files)
		full := h.o
		full.Verify = VerifyFull
		if _, err := h.build("plain", 2, full); err != nil {
			t.Fatal(err)
		}
		h.kinds = map[string]Output{kind: h.kinds[kind]}
		h.whole([]string{""}, 2)
	}
}

// TestModesOfRepairedPaths: a file was executable by mistake, or was not, when the memo
// learned of its store path.
func TestModesOfRepairedPaths(t *testing.T) {
	for kind := range streams(t) {
		h := newHistory(t, 2)
		chmod := func(mode os.FileMode) {
			t.Helper()
			if err := os.Chmod(h.path("bin/other"), mode); err != nil {
				t.Fatal(err)
			}
		}
		chmod(0o444)
		if _, err := h.build("gzip", 0, h.o); err != nil {
			t.Fatal(err)
		}
		chmod(0o555)
		h.kinds = map[string]Output{kind: h.kinds[kind]}
		for _, layout := range []int{2, 1, 0} {
			h.whole([]string{""}, layout)
		}
	}
}

// TestRowsOfOlderVersions: what is known of layers without a word on what was read is
// found out anew, and nobody is told.
func TestRowsOfOlderVersions(t *testing.T) {
	s := newHostStore(t)
	m, told := openMemo(t, t.TempDir())
	o := s.options()
	o.Memo = m
	first, want := s.build(t, layouts[0], o)
	plan, err := NewPlan(t.Context(), s.spec(t, layouts[0]), o)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[digest.Digest]memo.Layer{}
	for i, key := range plan.keys() {
		rows[key] = memo.Layer{DiffID: first.Layers[i].DiffID, Size: first.Layers[i].Size}
	}
	if err := m.memo.Save(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if _, got := s.build(t, layouts[0], o); !maps.EqualFunc(got, want, bytes.Equal) {
		t.Error("other bytes")
	}
	found, err := m.memo.Layers(t.Context(), plan.keys())
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range found {
		if (l.Sum != nil) != (i < len(plan.Layers)) {
			t.Errorf("layer %d of %d is %+v", i, len(found), l)
		}
	}
	if len(*told) > 0 {
		t.Errorf("told %q", *told)
	}
}

// TestLayoutsDiffer: no layer with the path that is damaged is in two of the layouts.
func TestLayoutsDiffer(t *testing.T) {
	h := newHistory(t, 0)
	seen := map[string]bool{}
	for _, spec := range layouts {
		plan, err := NewPlan(t.Context(), h.spec(t, spec), h.o)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range plan.Layers {
			if slices.Contains(l.Paths(), h.infos[1].Path) {
				seen[l.Key.String()] = true
			}
		}
	}
	if len(seen) != len(layouts) {
		t.Errorf("%d layers with the path in %d layouts", len(seen), len(layouts))
	}
}
