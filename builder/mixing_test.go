package builder

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/builder/memo"
	"terrine/store"
	"terrine/store/fault"
)

// rebuilt puts another build of an object in its place: the same path with other
// content, as another machine may have it.
func (s *hostStore) rebuilt(t *testing.T, i int, files map[string]string) *hostStore {
	t.Helper()
	old := s.infos[i]
	if err := os.RemoveAll(string(old.Path)); err != nil {
		t.Fatal(err)
	}
	other := &hostStore{dir: s.dir, infos: slices.Clone(s.infos)}
	tag, name, _ := strings.Cut(old.Path.Base(), "-")
	other.infos = other.infos[:i]
	if other.add(t, tag[:1], name, files, old.References...) != old.Path {
		t.Fatal("another path")
	}
	other.infos = append(other.infos, s.infos[i+1:]...)
	return other
}

// TestTwoMachinesNeverMix: a cache serves two machines that have different builds
// of one path, of equal sizes, in turn. Each gets its own image, and is told
// nothing of the other's.
func TestTwoMachinesNeverMix(t *testing.T) {
	for _, c := range []codec.Codec{codec.None(), mustCodec(t, codec.Gzip, codec.Default)} {
		here := newHostStore(t)
		m, told := openMemo(t, t.TempDir())
		first := map[string]string{"bin/app": "run", "share/doc": "text"}
		second := map[string]string{"bin/app": "RUN", "share/doc": "text"}
		build := func(s *hostStore, known bool) []byte {
			t.Helper()
			o := s.options()
			fresh := s.archiveBytes(t, c, o)
			plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","tag":"1","contents":["@app","@tool"]}`), o)
			if err != nil {
				t.Fatal(err)
			}
			probed, misses, err := plan.Probe(t.Context(), m, codec.None())
			if err != nil || (probed != nil) != known {
				t.Errorf("%s: probe tells %+v, %+v (%v), want known %v", c.ID(), probed, misses, err, known)
			}
			// Only what holds the path is another.
			for _, miss := range misses {
				if i := miss.Layer; i < len(plan.Layers) && !slices.Contains(miss.Paths, s.infos[1].Path) && len(misses) < len(plan.Layers)+1 {
					t.Errorf("%s: layer %d of %v is missed", c.ID(), i, miss.Paths)
				}
			}
			o.Memo = m
			if cached := s.archiveBytes(t, c, o); !bytes.Equal(cached, fresh) {
				t.Errorf("%s: other bytes with the cache", c.ID())
			}
			return fresh
		}
		one := build(here, false)
		there := here.rebuilt(t, 1, second)
		other := build(there, false)
		if bytes.Equal(one, other) {
			t.Fatal("both machines have the same image")
		}
		if again := build(there.rebuilt(t, 1, first), true); !bytes.Equal(again, one) {
			t.Errorf("%s: the first machine gets another image than before", c.ID())
		}
		if len(*told) != 0 {
			t.Errorf("told %q", *told)
		}
	}
}

// TestScaffoldsThatDoNotFit puts scaffolds into the memo, whole as files, whose
// records do not add up to the sizes they say: they are refused and made anew.
func TestScaffoldsThatDoNotFit(t *testing.T) {
	s := newHostStore(t)
	o := s.options()
	plain := s.archiveBytes(t, codec.None(), o)
	policy := layer.Policy{Owner: defaults().owner(time.Now)}
	object := store.Object{Info: *s.infos[1], Dir: string(s.dir)}
	scanned, err := layer.Scan(t.Context(), store.ObjectList{object}, policy, 1)
	if err != nil {
		t.Fatal(err)
	}
	good := scanned[0]
	bad := map[string]*layer.Scaffold{}
	for what, change := range map[string]func(*layer.Scaffold){
		"size":         func(s *layer.Scaffold) { s.Size += 512 },
		"content":      func(s *layer.Scaffold) { s.Content-- },
		"entries":      func(s *layer.Scaffold) { s.Entries++ },
		"no size":      func(s *layer.Scaffold) { s.Size = 0 },
		"size too big": func(s *layer.Scaffold) { s.Size = 1 << 61 },
	} {
		changed := *good
		change(&changed)
		bad[what] = &changed
	}
	bad["no records"] = &layer.Scaffold{Size: good.Size, Content: good.Content, Entries: good.Entries}
	for what, scaffold := range bad {
		m, told := openMemo(t, t.TempDir())
		o.Memo = m
		key := layer.SegmentKey(policy, object)
		if err := m.memo.KeepScaffold(key, object.Path, scaffold, 0); err != nil {
			t.Fatal(err)
		}
		if got := s.archiveBytes(t, codec.None(), o); !bytes.Equal(got, plain) {
			t.Errorf("%s: other bytes", what)
		}
		if kept, _ := m.memo.Scaffold(key); !bytes.Equal(kept, good.Encode()) {
			t.Errorf("%s: it is not made anew", what)
		}
		if len(*told) != 0 {
			t.Errorf("%s: told %q", what, *told)
		}
	}
}

// TestDamageIsNotRemembered: a build that fails for a damaged store path under
// VerifyFull leaves nothing in the memo by which a later one could repeat the
// damage, nor a digest (S25).
func TestDamageIsNotRemembered(t *testing.T) {
	s := newHostStore(t)
	gz := mustCodec(t, codec.Gzip, codec.Default)
	o := s.options()
	want := s.archiveBytes(t, gz, o)
	file := filepath.Join(string(s.infos[1].Path), "bin/app")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.Chmod(file, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	m, _ := openMemo(t, t.TempDir())
	o.Memo, o.Verify = m, VerifyFull
	plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","tag":"1","contents":["@app","@tool"]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	write("RUN")
	out := Output{Path: filepath.Join(t.TempDir(), "image"), Codec: gz}
	if _, err := plan.WriteArchive(t.Context(), out, o); fault.CodeOf(err) != fault.Integrity {
		t.Fatalf("a damaged store path: %v", err)
	}
	result, misses, err := plan.Probe(t.Context(), m, codec.None())
	if err != nil || result != nil || len(misses) != len(plan.Layers)+1 {
		t.Errorf("probe afterwards: %+v, %d misses, %v", result, len(misses), err)
	}
	write("run")
	o.Verify = VerifyNone
	if got := s.archiveBytes(t, gz, o); !bytes.Equal(got, want) {
		t.Error("the damage was remembered")
	}
}

// TestEvictedLayersAreNamed: of an image, some layers of which another one used
// later, gc evicts the rest; probe names exactly these, and their paths (S4).
func TestEvictedLayersAreNamed(t *testing.T) {
	s := newHostStore(t)
	now := time.Unix(1e9, 0)
	inner, err := memo.Open(t.Context(), t.TempDir(), memo.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	o := s.options()
	o.Memo = NewMemo(inner, nil)
	const both, one = `{"name":"x","contents":["@app","@tool"]}`, `{"name":"x","contents":["@app"]}`
	built, _ := s.build(t, both, o)
	now = now.AddDate(0, 0, 10)
	s.build(t, one, o)
	if r, err := inner.GC(t.Context(), memo.Limits{OlderThan: 5 * 24 * time.Hour}, false); err != nil || r.Layers != 2 {
		t.Fatalf("gc: %+v, %v; want 2 layers", r, err)
	}
	plan, err := NewPlan(t.Context(), s.spec(t, both), o)
	if err != nil {
		t.Fatal(err)
	}
	result, misses, err := plan.Probe(t.Context(), o.Memo, codec.None())
	if err != nil || result != nil || len(misses) != 2 {
		t.Fatalf("probe: %+v, misses %+v, %v", result, misses, err)
	}
	tool := s.infos[2]
	if m := misses[0]; m.Why != "evicted" || !slices.Equal(m.Paths, []store.Path{tool.Path}) || m.Size != tool.NARSize || m.Key != plan.Layers[m.Layer].Key {
		t.Errorf("miss %+v, want %s", m, tool.Path)
	}
	if m := misses[1]; m.Why != "evicted" || m.Layer != len(plan.Layers) || m.Paths != nil {
		t.Errorf("miss %+v, want the root layer", m)
	}
	if again, _ := s.build(t, both, o); !sameImage(again, built) {
		t.Errorf("built again %+v, before %+v", again, built)
	}
}

// TestTimesDoNotShow builds 200 times with the times of all files changed in
// between: one image, and as many layers as the plan has (S8, S22).
func TestTimesDoNotShow(t *testing.T) {
	s := newHostStore(t)
	rng := rand.New(rand.NewPCG(1, 2))
	const text = `{"name":"x","contents":["@app","@tool"]}`
	images := map[digest.Digest]int{}
	for range 200 {
		err := filepath.WalkDir(string(s.dir), func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chtimes(path, time.Unix(rng.Int64N(1<<31), rng.Int64N(1e9)), time.Unix(rng.Int64N(1<<31), rng.Int64N(1e9)))
		})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := NewPlan(t.Context(), s.spec(t, text), s.options())
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		r, err := plan.WriteArchive(t.Context(), Output{Writer: &out}, s.options())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Layers) != len(plan.Layers)+1 {
			t.Fatalf("%d layers, the plan has %d and the root layer", len(r.Layers), len(plan.Layers))
		}
		images[digest.FromBytes(out.Bytes())]++
	}
	if len(images) != 1 {
		t.Errorf("%d different images", len(images))
	}
}

// TestFilesOfTheCacheChangePlaces: a whole file in the place of another is damage.
func TestFilesOfTheCacheChangePlaces(t *testing.T) {
	s := newHostStore(t)
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, told := openMemo(t, dir)
	o := s.options()
	o.Memo = m
	want := s.archiveBytes(t, gz, o)
	var files []string
	eachBlob(t, dir, func(_ int, path string) error {
		files = append(files, path)
		return nil
	})
	texts := make([][]byte, len(files))
	for i, name := range files {
		if texts[i], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for shift := 1; shift < len(files); shift++ {
		for i, name := range files {
			if err := os.WriteFile(name, texts[(i+shift)%len(files)], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		*told = nil
		if got := s.archiveBytes(t, gz, o); !bytes.Equal(got, want) || len(*told) == 0 {
			t.Errorf("shifted by %d: other bytes: %v, told %q", shift, !bytes.Equal(got, want), *told)
		}
	}
}
