package builder

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/image"
	"terrine/builder/layer/codec"
	"terrine/builder/rootfs"
	"terrine/store"
)

// differing tests that keys differ from each other.
type differing struct {
	t    *testing.T
	seen map[digest.Digest]string
}

func (d *differing) add(what string, key digest.Digest) {
	d.t.Helper()
	if other, ok := d.seen[key]; ok {
		d.t.Errorf("%s has the key of %s", what, other)
	}
	d.seen[key] = what
}

// TestEachFieldOfTheRootKey changes one thing of a root layer at a time: each must
// change the key (S10).
func TestEachFieldOfTheRootKey(t *testing.T) {
	object := func(name, nar string) *store.Object {
		path := store.Path("/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-" + name)
		return &store.Object{Info: store.Info{Path: path, NARHash: digest.FromString(nar)}}
	}
	file := filepath.Join(t.TempDir(), "file")
	mode, id := uint32(0o600), 5
	objects := []store.Object{*object("a", "a"), *object("b", "b")}
	keys := differing{t, map[digest.Digest]string{}}
	add := func(what string, mtime int64, objects []store.Object, change func(*rootfs.Options)) {
		t.Helper()
		o := rootfs.Options{StoreDir: store.DefaultDir, Contents: objects[:1]}
		var infos []*store.Info
		for i := range objects {
			infos = append(infos, &objects[i].Info)
		}
		change(&o)
		onDisk, err := hashOnDisk(t.Context(), &o)
		if err != nil {
			t.Fatal(err)
		}
		key, err := rootKey(&o, closureOf(infos...), onDisk, mtime)
		if err != nil {
			t.Fatal(err)
		}
		keys.add(what, key)
	}
	nothing := func(*rootfs.Options) {}
	add("nothing", 1, objects, nothing)
	add("mtime", 2, objects, nothing)
	add("NAR hash", 1, []store.Object{*object("a", "a"), *object("b", "x")}, nothing)
	add("path", 1, []store.Object{*object("a", "a"), *object("x", "b")}, nothing)
	add("fewer paths", 1, objects[:1], nothing)
	options := map[string]func(*rootfs.Options){
		"contents":            func(o *rootfs.Options) { o.Contents = objects[1:] },
		"order of contents":   func(o *rootfs.Options) { o.Contents = []store.Object{objects[1], objects[0]} },
		"more contents":       func(o *rootfs.Options) { o.Contents = objects },
		"joined closure":      func(o *rootfs.Options) { o.Closure = objects[1:] },
		"empty closure":       func(o *rootfs.Options) { o.Closure = []store.Object{} },
		"recorded":            func(o *rootfs.Options) { o.Recorded = object("tree", "x") },
		"recorded, other NAR": func(o *rootfs.Options) { o.Recorded = object("tree", "y") },
		"conflicts fail":      func(o *rootfs.Options) { o.ConflictsFail = true },
		"links to expand":     func(o *rootfs.Options) { o.ExpandLinks = true },
		"tmp":                 func(o *rootfs.Options) { o.Tmp = true },
		"fakeNss":             func(o *rootfs.Options) { o.FakeNss = &rootfs.FakeNss{} },
		"passwd":              func(o *rootfs.Options) { o.FakeNss = &rootfs.FakeNss{ExtraPasswdLines: []string{"a:b"}} },
		"group":               func(o *rootfs.Options) { o.FakeNss = &rootfs.FakeNss{ExtraGroupLines: []string{"a:b"}} },
		"certificates":        func(o *rootfs.Options) { o.CACertificates = object("b", "b") },
		"/bin/sh":             func(o *rootfs.Options) { o.BinSh = object("b", "b") },
		"/usr/bin/env":        func(o *rootfs.Options) { o.UsrBinEnv = object("b", "b") },
		"glob":                func(o *rootfs.Options) { o.Perms = []rootfs.Perm{{Glob: "a"}} },
		"mode of glob": func(o *rootfs.Options) {
			o.Perms = []rootfs.Perm{{Glob: "a", Attributes: rootfs.Attributes{Mode: &mode}}}
		},
		"uid of glob": func(o *rootfs.Options) { o.Perms = []rootfs.Perm{{Glob: "a", Attributes: rootfs.Attributes{UID: &id}}} },
		"gid of glob": func(o *rootfs.Options) { o.Perms = []rootfs.Perm{{Glob: "a", Attributes: rootfs.Attributes{GID: &id}}} },
	}
	for what, change := range options {
		add(what, 1, objects, change)
	}
	for what, f := range differentFiles(string(objects[1].Path)+"/x", &mode, &id) {
		add(what, 1, objects, func(o *rootfs.Options) { o.Files = []rootfs.FileSpec{f} })
	}
	onDisk := func(o *rootfs.Options) { o.Files = []rootfs.FileSpec{{Path: "f", Source: file}} }
	for _, content := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		add("source with "+content, 1, objects, onDisk)
	}
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
	add("executable source", 1, objects, onDisk)
}

// differentFiles are a file of a root layer with another thing changed in each, by what
// that is.
func differentFiles(source string, mode *uint32, id *int) map[string]rootfs.FileSpec {
	return map[string]rootfs.FileSpec{
		"directory":    {Path: "f", Directory: true},
		"empty text":   {Path: "f", Text: []byte{}},
		"text":         {Path: "f", Text: []byte("x")},
		"text, binary": {Path: "f", Text: []byte{0xff}},
		"other binary": {Path: "f", Text: []byte{0xfe}},
		"name":         {Path: "g", Text: []byte("x")},
		"link":         {Path: "f", Link: "x"},
		"store source": {Path: "f", Source: source},
		"file's mode":  {Path: "f", Text: []byte("x"), Attributes: rootfs.Attributes{Mode: mode}},
		"file's uid":   {Path: "f", Text: []byte("x"), Attributes: rootfs.Attributes{UID: id}},
	}
}

// TestTheRootKeyDoesNotSayWhereSourcesLie: another directory to run in, or another
// machine, has the same root layer of the same files.
func TestTheRootKeyDoesNotSayWhereSourcesLie(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	var first digest.Digest
	for _, dir := range []string{".", "../" + filepath.Base(here), here, t.TempDir()} {
		source := filepath.Join(dir, "file")
		if err := os.WriteFile(source, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		o := rootfs.Options{StoreDir: store.DefaultDir, Files: []rootfs.FileSpec{{Path: "f", Source: source}}}
		onDisk, err := hashOnDisk(t.Context(), &o)
		if err != nil {
			t.Fatal(err)
		}
		key, err := rootKey(&o, nil, onDisk, 1)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = key
		}
		if key != first || o.Files[0].Source != source {
			t.Errorf("source %s: the key is %s, not %s; options have %s", source, key, first, o.Files[0].Source)
		}
	}
}

// TestEachFieldOfTheOutputKey does the same for files that are left alone.
func TestEachFieldOfTheOutputKey(t *testing.T) {
	gz := mustCodec(t, codec.Gzip, codec.Default)
	ref := image.Reference{Name: "x", Tag: "1"}
	keys := differing{t, map[digest.Digest]string{}}
	for what, c := range map[string]struct {
		manifest string
		out      Output
		ref      image.Reference
	}{
		"nothing":        {"m", Output{}, ref},
		"manifest":       {"n", Output{}, ref},
		"name":           {"m", Output{}, image.Reference{Name: "y", Tag: "1"}},
		"tag":            {"m", Output{}, image.Reference{Name: "x", Tag: "2"}},
		"another name":   {"m", Output{References: []image.Reference{{Name: "y", Tag: "1"}}}, ref},
		"codec":          {"m", Output{Codec: gz}, ref},
		"level":          {"m", Output{Codec: mustCodec(t, codec.Gzip, 9)}, ref},
		"other codec":    {"m", Output{Codec: mustCodec(t, codec.Zstd, codec.Default)}, ref},
		"one member":     {"m", Output{Codec: gz, OneMember: true}, ref},
		"two more names": {"m", Output{References: []image.Reference{{Name: "y", Tag: "1"}, {Name: "z", Tag: "1"}}}, ref},
	} {
		keys.add(what, outputKey(&Result{Digest: digest.FromString(c.manifest), Reference: c.ref}, c.out))
	}
}

func mustCodec(t *testing.T, make func(int) (codec.Codec, error), level int) codec.Codec {
	t.Helper()
	c, err := make(level)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBlobsOfOtherCodecsAreUnknown builds compressed layers by one codec and asks
// for others: algorithm and level each make another blob (S19).
func TestBlobsOfOtherCodecsAreUnknown(t *testing.T) {
	s := newHostStore(t)
	m, _ := openMemo(t, t.TempDir())
	o := s.options()
	o.Memo = m
	plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","contents":["@app"]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	built := mustCodec(t, codec.Gzip, 6)
	path := filepath.Join(t.TempDir(), "image.tar")
	want, err := plan.WriteArchive(t.Context(), Output{Path: path, LayerCodec: built}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []codec.Codec{
		mustCodec(t, codec.Gzip, codec.Default), mustCodec(t, codec.Gzip, 5),
		mustCodec(t, codec.Zstd, codec.Default), mustCodec(t, codec.Zstd, 6),
	} {
		got, misses, err := plan.Probe(t.Context(), m, c)
		if err != nil || got != nil || len(misses) != len(plan.Layers)+1 {
			t.Fatalf("%s: %+v, %d misses, %v", c.ID(), got, len(misses), err)
		}
		if i := slices.IndexFunc(misses, func(m Miss) bool { return m.Why != "codec changed" }); i >= 0 {
			t.Errorf("%s: layer %d is missed for: %s", c.ID(), i, misses[i].Why)
		}
	}
	if got, _, err := plan.Probe(t.Context(), m, built); err != nil || got == nil || !sameImage(got, want) {
		t.Errorf("probe tells %+v, build made %+v (%v)", got, want, err)
	}
	if got, _, err := plan.Probe(t.Context(), m, codec.None()); err != nil || got == nil || got.Digest == want.Digest {
		t.Errorf("of plain layers, probe tells %+v (%v)", got, err)
	}
}

// TestProbeOfWhatCannotBeBuilt: a build that only warned of conflicts tells probe of
// them, and nothing of a build that fails for them.
func TestProbeOfWhatCannotBeBuilt(t *testing.T) {
	s := &hostStore{dir: store.Dir(filepath.Join(t.TempDir(), "store"))}
	s.add(t, "1", "one", map[string]string{"etc/same": "one"})
	s.add(t, "2", "two", map[string]string{"etc/same": "two"})
	m, _ := openMemo(t, t.TempDir())
	o := s.options()
	o.Memo = m
	warned, _ := s.build(t, `{"name":"x","contents":["@one","@two"]}`, o)
	if len(warned.Conflicts) != 1 {
		t.Fatalf("conflicts %q", warned.Conflicts)
	}
	plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","contents":["@one","@two"]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := plan.Probe(t.Context(), m, codec.None()); err != nil || got == nil || !slices.Equal(got.Conflicts, warned.Conflicts) {
		t.Errorf("probe tells %+v (%v), want the conflicts %q", got, err, warned.Conflicts)
	}
	plan, err = NewPlan(t.Context(), s.spec(t, `{"name":"x","contents":["@one","@two"],"conflicts":"error"}`), o)
	if err != nil {
		t.Fatal(err)
	}
	if got, misses, err := plan.Probe(t.Context(), m, codec.None()); err != nil || got != nil || len(misses) != 1 {
		t.Errorf("probe tells %+v, misses %+v (%v)", got, misses, err)
	}
	out := Output{Path: filepath.Join(t.TempDir(), "image.tar")}
	if _, err := plan.WriteArchive(t.Context(), out, o); err == nil {
		t.Error("conflicts are no error")
	}
}
