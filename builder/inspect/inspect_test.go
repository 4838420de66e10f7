package inspect

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"terrine/store"
	"terrine/store/fault"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

const (
	hashA = "00bgd045z0d4icpbc2yyz4gx48ak44la"
	hashB = "11bgd045z0d4icpbc2yyz4gx48ak44la"
	pathA = "/nix/store/" + hashA + "-a"
	pathB = "/nix/store/" + hashB + "-b"
)

// file is an entry of a tar: a symlink if link is set, a directory if its name
// ends in a slash.
type file struct{ name, text, link string }

func makeTar(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o444, Size: int64(len(f.text)), Typeflag: tar.TypeReg}
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t testing.TB, p []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(p, nil)
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func blob(p string) file {
	return file{name: "blobs/sha256/" + digest.FromString(p).Encoded(), text: p}
}

func descriptor(mediaType, p string) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digest.FromString(p), "size": len(p)}
}

// sample is an image with two layers, in the pieces of which archives are made.
type sample struct {
	tars     [2][]byte
	layers   [2]string // as stored
	config   string
	manifest string
}

func newSample(t testing.TB, compress func(testing.TB, []byte) []byte) *sample {
	t.Helper()
	s := &sample{tars: [2][]byte{
		makeTar(t, file{name: "nix/"}, file{name: "nix/store/"}, file{name: pathA[1:] + "/"}, file{name: pathA[1:] + "/x", text: "xxxx"},
			file{name: pathB[1:], link: pathA}),
		makeTar(t, file{name: "./etc/"}, file{name: "./etc/passwd", text: "root"}),
	}}
	for i, p := range s.tars {
		s.layers[i] = string(p)
		if compress != nil {
			s.layers[i] = string(compress(t, p))
		}
	}
	s.config = marshal(t, map[string]any{
		"architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:01Z",
		"config":  map[string]any{"Cmd": []string{"x"}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []digest.Digest{digest.FromBytes(s.tars[0]), digest.FromBytes(s.tars[1])}},
		"history": []map[string]any{{"comment": "first"}, {"empty_layer": true, "comment": "none"}, {"comment": "root"}},
	})
	s.manifest = marshal(t, map[string]any{
		"schemaVersion": 2, "config": descriptor("application/vnd.oci.image.config.v1+json", s.config),
		"layers":      []any{descriptor("layer/0", s.layers[0]), descriptor("layer/1", s.layers[1])},
		"annotations": map[string]string{"k": "v"},
	})
	return s
}

func (s *sample) oci(t testing.TB) []file {
	d := descriptor("application/vnd.oci.image.manifest.v1+json", s.manifest)
	d["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/s:1"}
	return []file{
		{name: "oci-layout", text: `{"imageLayoutVersion":"1.0.0"}`},
		{name: "index.json", text: marshal(t, map[string]any{"schemaVersion": 2, "manifests": []any{d}})},
		blob(s.manifest), blob(s.config), blob(s.layers[0]), blob(s.layers[1]),
	}
}

func (s *sample) docker(t testing.TB) []file {
	config := digest.FromString(s.config).Encoded() + ".json"
	return []file{
		{name: "one/layer.tar", text: s.layers[0]},
		{name: "two/layer.tar", text: s.layers[1]},
		{name: "three/layer.tar", link: "../two/layer.tar"},
		{name: config, text: s.config},
		{name: "manifest.json", text: marshal(t, []dockerImage{{
			Config: config, RepoTags: []string{"s:1", "s:latest", "s:1"}, Layers: []string{"one/layer.tar", "three/layer.tar"},
		}})},
	}
}

// both is an archive as terrine makes them.
func (s *sample) both(t testing.TB) []file {
	return append(s.oci(t), file{name: "manifest.json", text: marshal(t, []dockerImage{{
		Config: blob(s.config).name, RepoTags: []string{"s:1"}, Layers: []string{blob(s.layers[0]).name, blob(s.layers[1]).name},
	}})})
}

func TestRead(t *testing.T) {
	plain, zipped, zstded := newSample(t, nil), newSample(t, gz), newSample(t, zst)
	cases := []struct {
		name    string
		sample  *sample
		archive []byte
		names   []string
		oci     bool
	}{
		{"oci layout", plain, makeTar(t, plain.oci(t)...), []string{"docker.io/library/s:1"}, true},
		{"oci layout, gzip layers", zipped, makeTar(t, zipped.oci(t)...), []string{"docker.io/library/s:1"}, true},
		{"oci layout, zstd layers", zstded, makeTar(t, zstded.oci(t)...), []string{"docker.io/library/s:1"}, true},
		{"docker archive", plain, makeTar(t, plain.docker(t)...), []string{"s:1", "s:latest"}, false},
		{"both", plain, makeTar(t, plain.both(t)...), []string{"s:1"}, true},
		{"both, with a second name in the index", plain, makeTar(t, renamed(t, plain)...), []string{"s:1"}, true},
		{"both, in gzip", plain, gz(t, makeTar(t, plain.both(t)...)), []string{"s:1"}, true},
		{"both, in gzip members", plain, twoMembers(t, makeTar(t, plain.both(t)...)), []string{"s:1"}, true},
		{"both, in zstd", plain, zst(t, makeTar(t, plain.both(t)...)), []string{"s:1"}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			images, err := Read(t.Context(), bytes.NewReader(c.archive))
			if err != nil {
				t.Fatal(err)
			}
			if len(images) != 1 {
				t.Fatalf("%d images, want 1", len(images))
			}
			if diff := cmp.Diff(c.sample.want(c.names, c.oci), marshal(t, images[0])); diff != "" {
				t.Errorf("image (-want +got):\n%s", diff)
			}
		})
	}
}

// renamed is an archive whose index has the image under two names.
func renamed(t testing.TB, s *sample) []file {
	files := s.both(t)
	var index map[string][]any
	text := strings.Replace(files[1].text, `"schemaVersion":2`, `"ignored":[]`, 1)
	if err := json.Unmarshal([]byte(text), &index); err != nil {
		t.Fatal(err)
	}
	index["manifests"] = append(index["manifests"], index["manifests"][0])
	files[1].text = strings.Replace(marshal(t, index), "library/s:1", "library/s:2", 1)
	return files
}

func twoMembers(t testing.TB, p []byte) []byte {
	return append(gz(t, p[:700]), gz(t, p[700:])...)
}

// want is the image that Read should find, as JSON.
func (s *sample) want(names []string, oci bool) string {
	image := Image{
		Names: names, ID: digest.FromString(s.config), OS: "linux", Architecture: "amd64", Config: json.RawMessage(`{"Cmd":["x"]}`),
	}
	image.Created = image.Created.AddDate(1969, 0, 0).Add(1e9)
	for i, comment := range []string{"first", "root"} {
		image.Layers = append(image.Layers, Layer{
			Digest: digest.FromString(s.layers[i]), Size: int64(len(s.layers[i])), Comment: comment,
			DiffID: digest.FromBytes(s.tars[i]), TarSize: int64(len(s.tars[i])), Entries: []int{5, 2}[i],
		})
		if oci {
			image.Layers[i].MediaType = fmt.Sprintf("layer/%d", i)
		}
	}
	image.Layers[0].Paths = []StorePath{{Path: pathA, Size: 4}, {Path: pathB}}
	if oci {
		image.Digest, image.Annotations = digest.FromString(s.manifest), map[string]string{"k": "v"}
	}
	b, err := json.Marshal(image)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestReadRefuses(t *testing.T) {
	s := newSample(t, nil)
	good := s.oci(t)
	change := func(i int, f file) []byte {
		files := append([]file{}, good...)
		files[i] = f
		return makeTar(t, files...)
	}
	damaged := good[4]
	damaged.text = strings.Replace(damaged.text, "xxxx", "yyyy", 1)
	otherConfig := strings.Replace(s.config, digest.FromBytes(s.tars[0]).Encoded(), digest.FromString("").Encoded(), 1)
	d := s.docker(t)
	d[3] = file{name: "c.json", text: otherConfig}
	d[4].text = `[{"Config":"c.json","Layers":["one/layer.tar","two/layer.tar"]}]`
	many := file{name: "big.json", text: "{" + strings.Repeat(" ", maxDocument)}
	cases := []struct {
		name    string
		archive []byte
		code    fault.Code
		want    string
	}{
		{"nothing", nil, fault.Refused, "no image in it"},
		{"text", []byte(strings.Repeat("hello ", 200)), fault.Refused, "read archive: "},
		{"another tar", s.tars[1], fault.Refused, "no image in it"},
		{"cut off", makeTar(t, good...)[:9000], fault.Refused, "unexpected EOF"},
		{"cut off gzip", gz(t, makeTar(t, good...))[:900], fault.Refused, "unexpected EOF"},
		{"damaged layer", change(4, damaged), fault.Integrity, "layer 0: " + damaged.name + ": digest is "},
		{"missing layer", makeTar(t, good[:5]...), fault.Refused, "layer 1: sha256:" + digest.FromString(s.layers[1]).Encoded() + ": is not in the archive"},
		{"other DiffID", makeTar(t, d...), fault.Integrity, "layer 0: one/layer.tar: DiffID: digest is"},
		{"index is no JSON", change(1, file{name: "index.json", text: "{]"}), fault.Refused, "index.json: invalid character"},
		{"wrong digest", change(1, file{name: "index.json", text: `{"manifests":[{"digest":"md5"}]}`}), fault.Refused, `digest "md5"`},
		{"document too large", change(0, many), fault.Refused, "at most 4194304 are read"},
		{"member twice", makeTar(t, append(good, good[0])...), fault.Refused, `member "oci-layout": is there twice`},
		{"docker, missing layer", makeTar(t, d[1:]...), fault.Refused, "layer 0: one/layer.tar: is not in the archive"},
		{"links in a circle", makeTar(t, file{name: "a", link: "b"}, file{name: "b", link: "a"},
			file{name: "manifest.json", text: `[{"Config":"a"}]`}), fault.Refused, "a link to a link"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(t.Context(), bytes.NewReader(c.archive))
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.CodeOf(err) != c.code {
				t.Errorf("error %v of class %d, want one of class %d with %q", err, fault.CodeOf(err), c.code, c.want)
			}
		})
	}
}

// TestReadSeveralImages: attestations are none, and the images of an index in
// an index are.
func TestReadSeveralImages(t *testing.T) {
	a, b := newSample(t, nil), newSample(t, gz)
	inner := marshal(t, map[string]any{"manifests": []any{
		descriptor("application/vnd.oci.image.manifest.v1+json", a.manifest),
		descriptor("application/vnd.oci.image.manifest.v1+json", b.manifest),
		descriptor("application/vnd.oci.image.manifest.v1+json", "another platform, not saved"),
		map[string]any{"digest": digest.FromString("attestation"), "annotations": map[string]string{"vnd.docker.reference.type": "attestation-manifest"}},
	}})
	outer := descriptor("application/vnd.oci.image.index.v1+json", inner)
	outer["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "name"}
	archive := makeTar(t, blob(inner), blob(a.manifest), blob(b.manifest), blob(a.config), blob(a.layers[0]), blob(a.layers[1]),
		blob(b.layers[0]), blob(b.layers[1]), file{name: "index.json", text: marshal(t, map[string]any{"manifests": []any{outer}})})
	images, err := Read(t.Context(), bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	if len(images) != 2 || images[0].Digest != digest.FromString(a.manifest) || images[1].Digest != digest.FromString(b.manifest) {
		t.Fatalf("images %v", images)
	}
	if got := images[1].Names; len(got) != 1 || got[0] != "name" {
		t.Errorf("names %q, want that of the outer index", got)
	}
}

func TestReadStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := Read(ctx, bytes.NewReader(makeTar(t, newSample(t, nil).oci(t)...))); !errors.Is(err, stop) {
		t.Errorf("error %v, want the cause of the context", err)
	}
	broken := io.MultiReader(bytes.NewReader(makeTar(t, newSample(t, nil).oci(t)...)[:2000]), iotestErr{})
	if _, err := Read(t.Context(), broken); !errors.Is(err, errDisk) || fault.CodeOf(err) == fault.Refused {
		t.Errorf("error %v of class %d, want that of the reader and no class", err, fault.CodeOf(err))
	}
}

var errDisk = errors.New("disk on fire")

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errDisk }

func TestStorePath(t *testing.T) {
	cases := map[string]string{
		pathA:                        pathA,
		pathA + "/bin/sh":            pathA,
		"/nix/store":                 "",
		"/nix/store/.links/x":        "",
		"/gnu/store/" + hashA + "-g": "/gnu/store/" + hashA + "-g",
		"/a/b/" + hashA + "-g/c/d":   "/a/b/" + hashA + "-g",
		"/" + hashA + "-g":           "",
		"/etc/passwd":                "",
		"/":                          "",
	}
	for name, want := range cases {
		if got := storePath(name); got != want {
			t.Errorf("storePath(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	s := newSample(f, nil)
	f.Add(makeTar(f, s.both(f)...))
	f.Add(makeTar(f, s.docker(f)...))
	f.Add(gz(f, makeTar(f, s.oci(f)...)))
	f.Add(zst(f, makeTar(f, s.oci(f)...)))
	f.Fuzz(func(t *testing.T, p []byte) {
		images, err := Read(t.Context(), bytes.NewReader(p))
		if err != nil {
			if code := fault.CodeOf(err); code != fault.Refused && code != fault.Integrity {
				t.Errorf("error %v has class %d", err, code)
			}
			return
		}
		var paths []store.Path
		for _, image := range images {
			for _, l := range image.Layers {
				for _, p := range l.Paths {
					paths = append(paths, store.Path(p.Path))
				}
				if l.Digest.Validate() != nil || l.DiffID.Validate() != nil || l.Size < 0 {
					t.Errorf("layer %+v", l)
				}
			}
		}
		if _, err := References(t.Context(), bytes.NewReader(p), paths); err != nil {
			t.Errorf("references of what Read takes: %v", err)
		}
	})
}
