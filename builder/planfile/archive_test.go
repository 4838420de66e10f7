package planfile

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/inspect"
	"terrine/store"
	"terrine/store/fault"
)

// tarOf is a tar of files: name, contents, name, contents and so on.
func tarOf(t *testing.T, files ...string) string {
	t.Helper()
	var b strings.Builder
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o444}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// archiveOf is a docker archive of these layers, the second by somebody else. Its
// first byte is that of a registration.
func archiveOf(t *testing.T, layers ...string) string {
	t.Helper()
	config := map[string]any{"rootfs": map[string]any{"diff_ids": []digest.Digest{
		digest.FromString(layers[0]), digest.FromString(layers[1]), digest.FromString(layers[2]),
	}}, "history": []map[string]string{{"created_by": creator}, {"created_by": "buildkit"}, {"created_by": creator}}}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return tarOf(t, "/0", layers[0], "1", layers[1], "2", layers[2], "config", string(text),
		"manifest.json", `[{"Config": "config", "Layers": ["0", "1", "2"]}]`)
}

// TestReadArchive: layers without store paths are none of the plan, and what refers
// to what is known once the files were searched, if they mention any.
func TestReadArchive(t *testing.T) {
	base, root := tarOf(t, zlib[1:]+"/lib", "zlib", zlib[1:]+"/etc", "z"), tarOf(t, "etc/passwd", "root")
	name := filepath.Join(t.TempDir(), "image.tar")
	for contents, refs := range map[string][]store.Path{"in " + zlib: {zlib}, "mentions none": nil} {
		top := tarOf(t, app[1:], contents)
		if err := os.WriteFile(name, []byte(archiveOf(t, base, top, root)), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Open(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := &Plan{
			Kind:   Archive,
			Layers: []Layer{{Size: int64(len(base)), Paths: []store.Path{zlib}}, {Size: int64(len(top)), Foreign: true, Paths: []store.Path{app}}},
			Graph:  []*store.Info{{Path: zlib, NARSize: 5}, {Path: app, NARSize: int64(len(contents))}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v, want %+v", contents, got, want)
		}
		err = got.FindReferences(t.Context(), name, nil)
		if err != nil || got.References != (refs != nil) || !reflect.DeepEqual(got.Graph[1].References, refs) {
			t.Errorf("%s: %v: found %t, %v", contents, err, got.References, got.Graph[1].References)
		}
	}
	if err := new(Plan).FindReferences(t.Context(), t.TempDir(), nil); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "read twice") {
		t.Errorf("references of what is no file: %v", err)
	}
	two := tarOf(t, "0", base, "config", `{"rootfs": {"diff_ids": ["`+string(digest.FromString(base))+`"]}}`,
		"manifest.json", `[{"Config": "config", "Layers": ["0"]}, {"Config": "config", "Layers": ["0"]}]`)
	if _, err := read(t.Context(), bytes.NewReader([]byte(two))); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "2 images in it") {
		t.Errorf("two images: %v", err)
	}
}

// TestWriteTellsOfFailure: a plan that is not written whole is no plan.
func TestWriteTellsOfFailure(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	for _, d := range []interface{ Write(w io.Writer) error }{wholeDocument(t), &Joint{}} {
		if err := d.Write(w); err != io.ErrClosedPipe {
			t.Errorf("%T: %v", d, err)
		}
	}
}

// TestSizesDoNotOverflow: sparse files claim to be as large as they like, in any number
// of layers.
func TestSizesDoNotOverflow(t *testing.T) {
	l := inspect.Layer{Paths: []inspect.StorePath{{Path: "/nix/store/00000000000000000000000000000000-a", Size: math.MaxInt64}}}
	p := planOf(&inspect.Image{Layers: []inspect.Layer{l, l, l}})
	if len(p.Layers) != 3 || len(p.Graph) != 1 || p.Graph[0].NARSize != math.MaxInt64 {
		t.Errorf("%d layers of %+v", len(p.Layers), p.Graph[0])
	}
}
