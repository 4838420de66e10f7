package inspect

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

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
	s := &sample{}
	s.fill(t, [2][]byte{
		makeTar(t, file{name: "nix/"}, file{name: "nix/store/"}, file{name: pathA[1:] + "/"}, file{name: pathB[1:], link: pathA},
			file{name: pathA[1:] + "/x", text: "xxxx"}),
		makeTar(t, file{name: "./etc/"}, file{name: "./etc/passwd", text: "root"}),
	}, compress)
	return s
}

// fill makes the pieces of the image that has these tars as layers.
func (s *sample) fill(t testing.TB, tars [2][]byte, compress func(testing.TB, []byte) []byte) {
	t.Helper()
	s.tars = tars
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
		"history": []map[string]any{{"comment": "first"}, {"empty_layer": true, "comment": "none"}, {"comment": "root"}, {"comment": "of no layer"}},
	})
	s.manifest = marshal(t, map[string]any{
		"schemaVersion": 2, "config": descriptor("application/vnd.oci.image.config.v1+json", s.config),
		"layers":      []any{descriptor("layer/0", s.layers[0]), descriptor("layer/1", s.layers[1])},
		"annotations": map[string]string{"k": "v"},
	})
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

// want is the image that Read should find, as JSON.
func (s *sample) want(t testing.TB, names []string, oci bool) string {
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
	return marshal(t, image)
}
