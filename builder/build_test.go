package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
	"terrine/store"
	"terrine/store/fault"
	"terrine/store/nar"
)

// hostStore is a store directory on disk with a few objects: "app" refers to
// "lib", "tool" to nothing.
type hostStore struct {
	dir   store.Dir
	infos []*store.Info
}

func newHostStore(t *testing.T) *hostStore {
	t.Helper()
	s := &hostStore{dir: store.Dir(filepath.Join(t.TempDir(), "store"))}
	lib := s.add(t, "0", "lib", map[string]string{"lib/libx.so": "ELF"})
	s.add(t, "1", "app", map[string]string{"bin/app": "run", "share/doc": "text"}, lib)
	s.add(t, "2", "tool", map[string]string{"bin/tool": "tool"})
	return s
}

func (s *hostStore) add(t *testing.T, tag, name string, files map[string]string, refs ...store.Path) store.Path {
	t.Helper()
	p, err := s.dir.Join(strings.Repeat(tag, 32) + "-" + name)
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range files {
		path := filepath.Join(string(p), file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	hash, size, err := nar.Hash(t.Context(), string(p))
	if err != nil {
		t.Fatal(err)
	}
	s.infos = append(s.infos, &store.Info{Path: p, NARHash: hash, NARSize: size, References: refs})
	return p
}

// closureOf makes a closure of infos. Bad ones are a fault of the test.
func closureOf(infos ...*store.Info) *store.Closure {
	c, err := store.NewClosure(slices.Values(infos))
	if err != nil {
		panic(err)
	}
	return c
}

func (s *hostStore) options() Options {
	return Options{Sources: Sources{Closure: closureOf(s.infos...)}, Workers: 2}
}

// spec parses a spec in which @NAME stands for a store path.
func (s *hostStore) spec(t *testing.T, text string) *Spec {
	t.Helper()
	for _, info := range s.infos {
		text = strings.ReplaceAll(text, "@"+info.Path.Name(), string(info.Path))
	}
	spec, err := ParseSpec([]byte(text), "image.json")
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// build returns the archive that a spec makes.
func (s *hostStore) build(t *testing.T, text string, o Options) (*Result, map[string][]byte) {
	t.Helper()
	plan, err := NewPlan(t.Context(), s.spec(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	result, err := plan.WriteArchive(t.Context(), Output{Writer: &out, Codec: codec.None()}, o)
	if err != nil {
		t.Fatal(err)
	}
	return result, readTar(t, &out)
}

func readTar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	members := map[string][]byte{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := members[h.Name]; twice {
			t.Errorf("%s stands in the archive twice", h.Name)
		}
		if members[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuildKnowsWhatToVerify(t *testing.T) {
	s := newHostStore(t)
	o := s.options()
	plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"app","contents":["@app"]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Verify = "ful"
	var out bytes.Buffer
	_, err = plan.WriteArchive(t.Context(), Output{Writer: &out, Codec: codec.None()}, o)
	if err == nil || !strings.Contains(err.Error(), `did you mean "full"?`) || out.Len() > 0 {
		t.Errorf("WriteArchive returns %v, after %d bytes", err, out.Len())
	}
}

func TestBuildHoldsWhatTheSpecAsksFor(t *testing.T) {
	s := newHostStore(t)
	result, members := s.build(t, `{"name":"App","tag":"1","contents":["@app"],"config":{"Cmd":["@tool/bin/tool."],"Healthcheck":{"Interval":1000000}},
		"files":{"/etc/motd":{"text":"hi"}}}`, s.options())
	if got := result.Reference.String(); got != "app:1" {
		t.Errorf("reference %s", got)
	}
	var docker []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(members["manifest.json"], &docker); err != nil {
		t.Fatal(err)
	}
	if len(docker) != 1 || !slices.Equal(docker[0].RepoTags, []string{"app:1"}) || len(docker[0].Layers) != len(result.Layers) {
		t.Fatalf("manifest.json says %+v", docker)
	}
	names := map[string]bool{}
	for i, blob := range docker[0].Layers {
		if got := digest.FromBytes(members[blob]); got != result.Layers[i].DiffID {
			t.Errorf("layer %d: bytes %s, result %s", i, got, result.Layers[i].DiffID)
		}
		for name := range readTar(t, bytes.NewReader(members[blob])) {
			names[name] = true
		}
	}
	prefix := strings.TrimPrefix(string(s.dir), "/")
	for _, want := range []string{strings.Repeat("0", 32) + "-lib/lib/libx.so", strings.Repeat("1", 32) + "-app/bin/app", strings.Repeat("2", 32) + "-tool/bin/tool"} {
		if !names[prefix+"/"+want] {
			t.Errorf("%s is missing", want)
		}
	}
	for _, want := range []string{"etc/motd", "bin/app", "share/doc"} {
		if !names[want] {
			t.Errorf("the root layer has no %s", want)
		}
	}
	if digest.FromBytes(members[docker[0].Config]) != result.ImageID || !bytes.Contains(members[docker[0].Config], []byte(`"Healthcheck":{"Interval":1000000}`)) {
		t.Errorf("config %s", members[docker[0].Config])
	}
	if got := digest.FromBytes(members["blobs/sha256/"+result.Digest.Encoded()]); got != result.Digest {
		t.Errorf("manifest has digest %s, result %s", got, result.Digest)
	}
}

func TestCreatedChangesNoLayer(t *testing.T) {
	s := newHostStore(t)
	const text = `{"name":"x","contents":["@app"]}`
	a, _ := s.build(t, text, s.options())
	o := s.options()
	o.SourceDateEpoch = "86400"
	b, _ := s.build(t, text, o)
	o.Now = func() time.Time { return time.Unix(1e9, 0) }
	c, members := s.build(t, `{"name":"x","contents":["@app"],"created":"now"}`, o)
	if a.ImageID == b.ImageID || b.ImageID == c.ImageID {
		t.Error("the date does not enter the image")
	}
	same := func(x, y BuiltLayer) bool { return x.DiffID == y.DiffID }
	if !slices.EqualFunc(a.Layers, b.Layers, same) || !slices.EqualFunc(a.Layers, c.Layers, same) {
		t.Error("the date changes a layer")
	}
	if !bytes.Contains(members["blobs/sha256/"+c.ImageID.Encoded()], []byte("2001-09-09T01:46:40Z")) {
		t.Error(`"now" is not the clock's`)
	}
}

func TestWithoutStorePaths(t *testing.T) {
	s := newHostStore(t)
	result, _ := s.build(t, `{"name":"x","contents":["@app"],"includeStorePaths":false}`, s.options())
	if len(result.Layers) != 1 || result.Layers[0].Paths != nil {
		t.Errorf("layers %+v, want the root layer alone", result.Layers)
	}
}

// TestRootKeySaysNothingElse: what is in the config alone leaves the root layer as it
// was. See TestEachFieldOfTheRootKey for what is not.
func TestRootKeySaysNothingElse(t *testing.T) {
	s := newHostStore(t)
	key := func(fields string) digest.Digest {
		plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","contents":["@app"]`+fields+`}`), s.options())
		if err != nil {
			t.Fatal(err)
		}
		return plan.RootKey
	}
	want := key("")
	for _, fields := range []string{`,"tag":"y"`, `,"config":{"Cmd":["a"]}`, `,"labels":{"a":"b"}`, `,"created":5`} {
		if key(fields) != want {
			t.Errorf("%s changes the root layer's key", fields)
		}
	}
	if key(`,"mtime":5`) == want {
		t.Error("mtime does not change the root layer's key")
	}
}

func TestMissingPaths(t *testing.T) {
	s := newHostStore(t)
	absent := string(s.dir) + "/" + strings.Repeat("9", 32) + "-absent"
	for _, text := range []string{
		fmt.Sprintf(`{"name":"x","contents":[%q]}`, absent),
		fmt.Sprintf(`{"name":"x","config":{"Cmd":[%q]}}`, absent+"/bin/x"),
	} {
		_, err := NewPlan(t.Context(), s.spec(t, text), s.options())
		if !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), absent) || fault.CodeOf(err) != fault.Refused || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestFilesBringWhatTheyMention: the text of a file, a link and a copied file
// bring the closures of the paths they mention; a path of nothing is no error.
func TestFilesBringWhatTheyMention(t *testing.T) {
	s := newHostStore(t)
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, []byte("run "+string(s.infos[2].Path)+"/bin/tool"), 0o644); err != nil {
		t.Fatal(err)
	}
	absent := string(s.dir) + "/" + strings.Repeat("9", 32) + "-absent"
	for text, want := range map[string]int{
		`{"name":"x","files":{"/a":{"text":"@app/bin/app"}}}`:     2,
		`{"name":"x","files":{"/a":{"symlink":"@tool/bin"}}}`:     1,
		`{"name":"x","files":{"/a":{"source":"` + source + `"}}}`: 1,
		`{"name":"x","files":{"/a":{"source":"@app/bin/app"}}}`:   2,
		`{"name":"x","files":{"/a":{"text":"` + absent + `"}}}`:   0,
	} {
		plan, err := NewPlan(t.Context(), s.spec(t, text), s.options())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		paths := 0
		for i := range plan.Layers {
			paths += plan.Layers[i].Objects.Len()
		}
		if paths != want {
			t.Errorf("%s: %d paths, want %d", text, paths, want)
		}
	}
}

func TestHostIsAskedLastAndOnce(t *testing.T) {
	s := newHostStore(t)
	var asked [][]store.Path
	o := Options{Sources: Sources{Host: func(_ context.Context, roots []store.Path) ([]*store.Info, error) {
		asked = append(asked, roots)
		return s.infos, nil
	}}}
	spec := s.spec(t, `{"name":"x","contents":["@app","@tool"],"binSh":"@lib"}`)
	plan, err := NewPlan(t.Context(), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || len(asked[0]) != 3 {
		t.Errorf("asked for %v, want one question for three paths", asked)
	}
	paths := 0
	for i := range plan.Layers {
		paths += plan.Layers[i].Objects.Len()
	}
	if paths != 3 {
		t.Errorf("%d paths planned, want 3", paths)
	}
}

// TestPathsOfSeveralSources: what is found on the host comes with paths that the closure
// given has too, and reaches later.
func TestPathsOfSeveralSources(t *testing.T) {
	s := newHostStore(t)
	lib := s.infos[0].Path
	s.add(t, "3", "other", map[string]string{"bin/other": "other"}, lib)
	o := Options{Sources: Sources{
		Closure: closureOf(s.infos[:2]...),
		Host: func(context.Context, []store.Path) ([]*store.Info, error) {
			return []*store.Info{s.infos[0], s.infos[3]}, nil
		},
	}}
	for _, text := range []string{
		`{"name":"x","contents":["@other"],"config":{"Cmd":["@app/bin/app"]}}`,
		`{"name":"x","contents":["@app"],"config":{"Cmd":["@other/bin/other"]}}`,
	} {
		plan, err := NewPlan(t.Context(), s.spec(t, text), o)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, want := plan.Closure().Infos(), []*store.Info{s.infos[0], s.infos[1], s.infos[3]}; !cmp.Equal(got, want) {
			t.Errorf("%s (-want +got):\n%s", text, cmp.Diff(want, got))
		}
	}
}
