package builder

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"terrine/builder/layer/codec"
	"terrine/builder/memo"
	"terrine/store"
	"terrine/tests/need"
)

func openMemo(t *testing.T, dir string) (*Memo, *[]string) {
	t.Helper()
	var mu sync.Mutex
	var told []string
	tell := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, s)
	}
	m, err := memo.Open(t.Context(), dir, memo.Options{Warn: tell})
	if err != nil {
		t.Fatal(err)
	}
	return NewMemo(m, tell), &told
}

func sameImage(a, b *Result) bool {
	return a.Digest == b.Digest && a.ImageID == b.ImageID && a.Reference == b.Reference &&
		slices.EqualFunc(a.Layers, b.Layers, func(x, y BuiltLayer) bool {
			return x.DiffID == y.DiffID && x.Digest == y.Digest && x.Size == y.Size && x.MediaType == y.MediaType && slices.Equal(x.Paths, y.Paths)
		})
}

// randomStore makes a store of n objects with random references and files.
func randomStore(t *testing.T, rng *rand.Rand, n int) *hostStore {
	t.Helper()
	s := &hostStore{dir: store.Dir(filepath.Join(t.TempDir(), "store"))}
	for i := range n {
		var refs []store.Path
		for _, info := range s.infos {
			if rng.IntN(4) == 0 {
				refs = append(refs, info.Path)
			}
		}
		files := map[string]string{}
		for range 1 + rng.IntN(4) {
			files[fmt.Sprintf("d%d/f%d", rng.IntN(3), rng.IntN(5))] = strings.Repeat("x", rng.IntN(3000))
		}
		s.add(t, fmt.Sprintf("%d", i), fmt.Sprintf("p%d", i), files, refs...)
	}
	return s
}

func randomSpec(rng *rand.Rand, n int) string {
	text := fmt.Sprintf(`{"name":"x","contents":["@p%d","@p%d"],"maxLayers":%d`, rng.IntN(n), rng.IntN(n), 2+rng.IntN(6))
	for _, field := range []string{`,"tag":"t"`, `,"uid":1000`, `,"mtime":77`, `,"config":{"Env":["A=b"]}`, `,"fakeNss":true`, `,"labels":{"a":"b"}`} {
		if rng.IntN(2) == 0 {
			text += field
		}
	}
	return text + "}"
}

// TestProbeSaysWhatBuildMakes: for random closures and specs, probe's digests,
// build's, and those re-read from the archive are the same, whatever the memo
// knew before.
func TestProbeSaysWhatBuildMakes(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		const n = 8
		s := randomStore(t, rng, n)
		m, told := openMemo(t, t.TempDir())
		o := s.options()
		for range 3 {
			text := randomSpec(rng, n)
			o.Memo = nil
			fresh, members := s.build(t, text, o)
			o.Memo = m
			built, again := s.build(t, text, o)
			plan, err := NewPlan(t.Context(), s.spec(t, text), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(string(s.dir), string(s.dir)+".moved"); err != nil {
				t.Fatal(err)
			}
			probed, misses, err := plan.Probe(t.Context(), m, codec.None())
			if err := os.Rename(string(s.dir)+".moved", string(s.dir)); err != nil {
				t.Fatal(err)
			}
			if err != nil || misses != nil {
				t.Fatalf("%s: probe: %v, misses %v", text, err, misses)
			}
			if !sameImage(fresh, built) || !sameImage(built, probed) {
				t.Errorf("%s:\nwithout memo %+v\nwith memo %+v\nprobe %+v", text, fresh, built, probed)
			}
			if members["blobs/sha256/"+probed.Digest.Encoded()] == nil || len(members) != len(again) {
				t.Errorf("%s: the archive holds no %s", text, probed.Digest)
			}
			for name, data := range members {
				if !bytes.Equal(again[name], data) {
					t.Errorf("%s: %s differs with the memo", text, name)
				}
			}
		}
		if len(*told) != 0 {
			t.Errorf("warnings %q", *told)
		}
	}
}

func TestProbeNamesAllMisses(t *testing.T) {
	s := newHostStore(t)
	m, _ := openMemo(t, t.TempDir())
	o := s.options()
	plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","contents":["@app","@tool"]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	result, misses, err := plan.Probe(t.Context(), m, codec.None())
	if err != nil || result != nil {
		t.Fatalf("probe of nothing known: %+v, %v", result, err)
	}
	if len(misses) != len(plan.Layers)+1 {
		t.Fatalf("%d misses for %d layers", len(misses), len(plan.Layers)+1)
	}
	for i, miss := range misses {
		if miss.Layer != i || miss.Why != "never built" || (i < len(plan.Layers)) != (len(miss.Paths) > 0 && miss.Size > 0) {
			t.Errorf("miss %d: %+v", i, miss)
		}
	}
}

// archiveBytes writes an archive with codec c and returns it.
func (s *hostStore) archiveBytes(t *testing.T, c codec.Codec, o Options) []byte {
	t.Helper()
	plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","tag":"1","contents":["@app","@tool"]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image")
	if _, err := plan.WriteArchive(t.Context(), Output{Path: path, Codec: c}, o); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCacheStateDoesNotShow builds with the cache cold, warm, half evicted,
// damaged and off.
func TestCacheStateDoesNotShow(t *testing.T) {
	s := newHostStore(t)
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []codec.Codec{codec.None(), gz} {
		dir := t.TempDir()
		m, told := openMemo(t, dir)
		o := s.options()
		want := s.archiveBytes(t, c, o)
		o.Memo = m
		for _, state := range []string{"cold", "warm", "half evicted", "warm again", "damaged", "mended"} {
			*told = nil
			switch state {
			case "half evicted":
				eachBlob(t, dir, func(i int, path string) error {
					if i%2 == 0 {
						return os.Remove(path)
					}
					return nil
				})
			case "damaged":
				eachBlob(t, dir, func(_ int, path string) error {
					return os.WriteFile(path, []byte("damage, and more of it than fits"), 0o600)
				})
			}
			if got := s.archiveBytes(t, c, o); !bytes.Equal(got, want) {
				t.Errorf("%s, cache %s: other bytes", c.ID(), state)
			}
			if (state == "damaged") != (len(*told) > 0) {
				t.Errorf("%s, cache %s: told %q", c.ID(), state, *told)
			}
		}
	}
}

func eachBlob(t *testing.T, dir string, f func(i int, path string) error) {
	t.Helper()
	i := 0
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i++
		return f(i, path)
	})
	if err != nil || i == 0 {
		t.Fatalf("%d blobs, %v", i, err)
	}
}

func TestUnchangedOutputIsLeftAlone(t *testing.T) {
	s := newHostStore(t)
	m, _ := openMemo(t, t.TempDir())
	o := s.options()
	o.Memo = m
	path := filepath.Join(t.TempDir(), "image.tar")
	build := func(text string, force bool) *Result {
		plan, err := NewPlan(t.Context(), s.spec(t, text), o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := plan.WriteArchive(t.Context(), Output{Path: path, Force: force}, o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const text = `{"name":"x","tag":"1","contents":["@app"]}`
	first := build(text, false)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if second := build(text, false); first.Unchanged || !second.Unchanged || !sameImage(first, second) {
		t.Errorf("first %+v, second %+v", first, second)
	}
	if build(text, true).Unchanged {
		t.Error("force does not write")
	}
	if build(`{"name":"x","tag":"2","contents":["@app"]}`, false).Unchanged {
		t.Error("another tag is taken for the same image")
	}
	build(text, false)
	if err := os.WriteFile(path, make([]byte, len(before)), 0o644); err != nil {
		t.Fatal(err)
	}
	if build(text, false).Unchanged {
		t.Error("a file that was written to is taken for the image")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file is not mended (%v)", err)
	}
}

func TestWhatIsNotOnDiskIsKnownUntilTheNextBoot(t *testing.T) {
	if bootID() == "" {
		need.Lacking(t, "the system does not name its boots")
	}
	s := newHostStore(t)
	m, _ := openMemo(t, t.TempDir())
	o := s.options()
	o.Memo = m
	path := filepath.Join(t.TempDir(), "image.tar")
	unchanged := func(noSync bool) bool {
		t.Helper()
		plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","tag":"1","contents":["@app"]}`), o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := plan.WriteArchive(t.Context(), Output{Path: path, NoSync: noSync}, o)
		if err != nil {
			t.Fatal(err)
		}
		return r.Unchanged
	}
	if unchanged(true) || !unchanged(true) {
		t.Error("what was just written is not recognised")
	}
	if unchanged(false) || !unchanged(false) || !unchanged(true) {
		t.Error("a file that may not be on disk is taken for one that is, or the other way round")
	}
	unchanged(true)
	row, err := m.memo.Output(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	row.Boot = "an earlier one"
	if err := m.memo.SaveOutput(t.Context(), path, *row); err != nil {
		t.Fatal(err)
	}
	if unchanged(true) {
		t.Error("a file that was not on disk before the system was started again is taken for whole")
	}
}

func TestBuildGoesOnWithoutACache(t *testing.T) {
	s := newHostStore(t)
	dir := t.TempDir()
	m, told := openMemo(t, dir)
	o := s.options()
	want := s.archiveBytes(t, codec.None(), o)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Memo = m
	if got := s.archiveBytes(t, codec.None(), o); !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
	if len(*told) != 1 {
		t.Errorf("told %q, want one line", *told)
	}
}
