package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/fault"
)

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
		{"oci layout, with two names", plain, makeTar(t, renamed(t, plain)[:6]...), []string{"docker.io/library/s:2", "docker.io/library/s:1"}, true},
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
			if diff := cmp.Diff(c.sample.want(t, c.names, c.oci), marshal(t, images[0])); diff != "" {
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
	longName := newSample(t, nil)
	longName.fill(t, [2][]byte{s.tars[0], makeTar(t, file{name: strings.Repeat("n", maxName+1)})}, nil)
	fewer := s.docker(t)
	fewer[4].text = strings.Replace(fewer[4].text, `,"three/layer.tar"`, "", 1)
	noLayer := newSample(t, func(_ testing.TB, tar []byte) []byte { return append([]byte("\x1f\x8bno gzip"), tar...) })
	attestations := `{"manifests":[` + strings.Repeat(`{"annotations":{"vnd.docker.reference.type":"x"}},`, maxImages) + `{}]}`
	short := descriptor("application/vnd.oci.image.manifest.v1+json", s.manifest)
	short["size"] = 7
	many := file{name: "index.json", text: "{" + strings.Repeat(" ", maxDocument)}
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
		{"wrong size", change(1, file{name: "index.json", text: marshal(t, map[string]any{"manifests": []any{short}})}), fault.Refused, "not 7 as its descriptor says"},
		{"document too large", change(1, many), fault.Refused, "at most 4194304 are read"},
		{"member with a long name", makeTar(t, file{name: strings.Repeat("n", maxName+1)}), fault.Refused, "a name of 4097 bytes"},
		{"layer of broken gzip", makeTar(t, noLayer.oci(t)...), fault.Refused, "is no layer: read gzip data: "},
		{"fewer layers than DiffIDs", makeTar(t, fewer...), fault.Refused, "has 2 DiffIDs for 1 layers"},
		{"many attestations", change(1, file{name: "index.json", text: attestations}), fault.Refused, "more than 1000 manifests in all"},
		{"layer with a long name", makeTar(t, longName.oci(t)...), fault.Refused, `entry "nnn`},
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
		descriptor("application/vnd.oci.image.index.v1+json", "an index, not saved"),
	}})
	attestation := map[string]any{"digest": digest.FromString("attestation"), "annotations": map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}
	outer := descriptor("application/vnd.oci.image.index.v1+json", inner)
	outer["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "name"}
	archive := makeTar(t, blob(inner), blob(a.manifest), blob(b.manifest), blob(a.config), blob(a.layers[0]), blob(a.layers[1]),
		blob(b.layers[0]), blob(b.layers[1]), file{name: "index.json", text: marshal(t, map[string]any{"manifests": []any{outer, attestation}})})
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

// TestReadSeveralImagesTwice: what the index says of an image joins what the
// manifest of docker says of the same, in whatever order they come.
func TestReadSeveralImagesTwice(t *testing.T) {
	a, b := newSample(t, nil), &sample{}
	b.fill(t, [2][]byte{a.tars[1], a.tars[0]}, nil)
	index := map[string]any{"manifests": []any{
		descriptor("application/vnd.oci.image.manifest.v1+json", a.manifest), descriptor("application/vnd.oci.image.manifest.v1+json", b.manifest),
	}}
	layers := []string{blob(a.layers[0]).name, blob(a.layers[1]).name}
	list := []dockerImage{{Config: blob(b.config).name, Layers: []string{layers[1], layers[0]}}, {Config: blob(a.config).name, Layers: layers}}
	images, err := Read(t.Context(), bytes.NewReader(makeTar(t, blob(a.manifest), blob(b.manifest), blob(a.config), blob(b.config),
		blob(a.layers[0]), blob(a.layers[1]), file{name: "index.json", text: marshal(t, index)}, file{name: "manifest.json", text: marshal(t, list)})))
	if err != nil || len(images) != 2 || images[0].Digest != digest.FromString(b.manifest) || images[1].Digest != digest.FromString(a.manifest) {
		t.Errorf("images %v, %v", images, err)
	}
}

func TestReadStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := Read(ctx, bytes.NewReader(makeTar(t, newSample(t, nil).oci(t)...))); !errors.Is(err, stop) {
		t.Errorf("error %v, want the cause of the context", err)
	}
	broken := io.MultiReader(bytes.NewReader(makeTar(t, newSample(t, nil).oci(t)...)[:2000]), failing{})
	if _, err := Read(t.Context(), broken); !errors.Is(err, errDisk) || fault.CodeOf(err) == fault.Refused {
		t.Errorf("error %v of class %d, want that of the reader and no class", err, fault.CodeOf(err))
	}
}

var errDisk = errors.New("disk on fire")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

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

// TestManyNames: what is looked up for each of the names that a document can hold
// must not take longer the more there are.
func TestManyNames(t *testing.T) {
	const n = 150_000
	s := newSample(t, nil)
	files := s.docker(t)
	tags := make([]string, n)
	for i := range tags {
		tags[i] = strconv.FormatInt(int64(i), 36)
	}
	files[4].text = marshal(t, []dockerImage{{Config: files[3].name, RepoTags: tags, Layers: []string{"one/layer.tar", "two/layer.tar"}}})
	began := time.Now()
	images, err := Read(t.Context(), bytes.NewReader(makeTar(t, files...)))
	if took := time.Since(began); err != nil || len(images[0].Names) != n || took > 20*time.Second {
		t.Errorf("%d images after %v: %v", len(images), took, err)
	}
}
