package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/build"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"terrine/store/fault"
)

func layers(n int) []Layer {
	var out []Layer
	for i := range n {
		d := digest.FromString(fmt.Sprint(i))
		out = append(out, Layer{DiffID: d, Digest: d, Size: int64(i), MediaType: LayerTar, Comment: fmt.Sprint("layer ", i)})
	}
	return out
}

func options() Options {
	return Options{
		Platform: Platform{OS: "linux", Architecture: "arm", Variant: "v7"},
		Created:  time.Date(2024, 1, 31, 13, 0, 0, 5e8, time.FixedZone("", 3600)),
		Config: json.RawMessage(`{
			"Healthcheck": {"Test": ["CMD", "a<b", "\u003c"], "Interval": 1e9},
			"Cmd": null, "Labels": {"b": "of config", "a": "of config"}, "Unknown": {"z":1,"a":null}
		}`),
		Labels:      map[string]string{"b": "of spec", "c": "<&>"},
		Layers:      layers(2),
		Annotations: map[string]string{"z": "1", "a": "2"},
	}
}

// The documents are those bytes and no others.
func TestNewBytes(t *testing.T) {
	img, err := New(options())
	if err != nil {
		t.Fatal(err)
	}
	const (
		diff0  = "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"
		diff1  = "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
		config = `{"created":"2024-01-31T12:00:00.5Z","architecture":"arm","variant":"v7","os":"linux",` +
			`"config":{"Healthcheck":{"Test":["CMD","a<b","\u003c"],"Interval":1e9},"Labels":{"a":"of config","b":"of spec","c":"<&>"},"Unknown":{"z":1,"a":null}},` +
			`"rootfs":{"type":"layers","diff_ids":["` + diff0 + `","` + diff1 + `"]},` +
			`"history":[{"created":"2024-01-31T12:00:00.5Z","created_by":"terrine","comment":"layer 0"},{"created":"2024-01-31T12:00:00.5Z","created_by":"terrine","comment":"layer 1"}]}`
	)
	if got := string(img.Config); got != config {
		t.Errorf("config\n%s\nwant\n%s", got, config)
	}
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digest.FromString(config).String() + `","size":` + fmt.Sprint(len(config)) + `},` +
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + diff0 + `","size":0},{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + diff1 + `","size":1}],` +
		`"annotations":{"a":"2","z":"1"}}`
	if got := string(img.Manifest); got != manifest {
		t.Errorf("manifest\n%s\nwant\n%s", got, manifest)
	}
	if want := digest.FromString(config).Encoded()[:32]; img.Hash() != want {
		t.Errorf("Hash = %s, want %s", img.Hash(), want)
	}
	named := Named{img, []Reference{{"ghcr.io/me/app", "1"}, {"app", "x"}}}
	index, err := Index(named)
	if err != nil {
		t.Fatal(err)
	}
	d := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + digest.FromString(manifest).String() + `","size":` + fmt.Sprint(len(manifest)) +
		`,"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"},"platform":{"architecture":"arm","os":"linux","variant":"v7"}}`
	want := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` +
		fmt.Sprintf(d, "ghcr.io/me/app:1", "1") + "," + fmt.Sprintf(d, "docker.io/library/app:x", "x") + `]}`
	if string(index) != want {
		t.Errorf("index\n%s\nwant\n%s", index, want)
	}
	docker, err := DockerManifest(named)
	if err != nil {
		t.Fatal(err)
	}
	want = `[{"Config":"blobs/sha256/` + digest.FromString(config).Encoded() + `","RepoTags":["ghcr.io/me/app:1","app:x"],` +
		`"Layers":["blobs/sha256/` + diff0[7:] + `","blobs/sha256/` + diff1[7:] + `"]}]`
	if string(docker) != want {
		t.Errorf("docker manifest\n%s\nwant\n%s", docker, want)
	}
	if got := string(Layout()); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("layout %s", got)
	}
}

// The documents pass the schemas of the image specification, which are read
// from its module: its own validator needs another version of a library.
func TestDocumentsPassTheSpecificationsSchemas(t *testing.T) {
	plain := options()
	plain.Platform.Variant, plain.Config, plain.Labels, plain.Annotations = "", nil, nil, nil
	compressed := options()
	compressed.Layers = layers(MaxLayers)
	for i := range compressed.Layers {
		l := &compressed.Layers[i]
		l.Digest, l.MediaType = digest.FromString("blob"), []string{LayerGzip, LayerZstd}[i%2]
		l.Annotations = map[string]string{"x": "y"}
	}
	for i, o := range []Options{options(), plain, compressed} {
		img, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		index, err := Index(Named{img, []Reference{{"a", "b"}}}, Named{Image: img})
		if err != nil {
			t.Fatal(err)
		}
		for file, document := range map[string][]byte{
			"config-schema.json":         img.Config,
			"image-manifest-schema.json": img.Manifest,
			"image-index-schema.json":    index,
			"image-layout-schema.json":   Layout(),
		} {
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
			if err != nil {
				t.Fatal(err)
			}
			schema := specSchema(t, file)
			if err := schema.Validate(value); err != nil {
				t.Errorf("case %d: %s: %v\n%s", i, file, err, document)
			}
			if schema.Validate(map[string]any{}) == nil {
				t.Errorf("%s takes anything", file)
			}
			if bytes.Contains(document, []byte(":null")) && !bytes.Contains(document, []byte(`"a":null`)) {
				t.Errorf("case %d: %s: there is null in it", i, file)
			}
		}
		if n := bytes.Count(index, []byte(`"platform":`)); n != 2 {
			t.Errorf("case %d: %d manifests in the index, want that of the image with a name and that of the one without", i, n)
		}
		var config v1.Image
		if err := json.Unmarshal(img.Config, &config); err != nil || len(config.RootFS.DiffIDs) != len(o.Layers) || len(config.History) != len(o.Layers) {
			t.Errorf("case %d: config reads as %+v, %v", i, config, err)
		}
	}
}

type specLoader struct{ dir string }

func (l specLoader) Load(url string) (any, error) {
	f, err := os.Open(filepath.Join(l.dir, path.Base(url)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return jsonschema.UnmarshalJSON(f)
}

func specSchema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	pkg, err := build.Import("github.com/opencontainers/image-spec/schema", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(specLoader{pkg.Dir})
	c.AssertFormat()
	schema, err := c.Compile("https://opencontainers.org/schema/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no layers", func(o *Options) { o.Layers = nil }, "0 layers: want 1 to 125"},
		{"too many layers", func(o *Options) { o.Layers = layers(126) }, "126 layers"},
		{"digest", func(o *Options) { o.Layers[1].Digest = "sha256:../x" }, "layer 1: digest"},
		{"diffID", func(o *Options) { o.Layers[0].DiffID = "" }, "layer 0: diffID"},
		{"plain layer with two digests", func(o *Options) { o.Layers[0].Digest = digest.FromString("x") }, "layer 0: it is not compressed"},
		{"media type", func(o *Options) { o.Layers[0].MediaType = "application/x-tar" }, "unknown media type"},
		{"size", func(o *Options) { o.Layers[0].Size = -1 }, "negative"},
		{"os", func(o *Options) { o.Platform.OS = "" }, "operating system"},
		{"architecture", func(o *Options) { o.Platform.Architecture = "aarch64" }, "images call it arm64"},
		{"variant", func(o *Options) { o.Platform.Variant = "V 7" }, "variant"},
		{"year", func(o *Options) { o.Created = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "year 10000"},
		{"config is no object", func(o *Options) { o.Config = json.RawMessage(`[]`) }, "not an object"},
		{"config is cut off", func(o *Options) { o.Config = json.RawMessage(`{"a":`) }, "config"},
		{"config without an end", func(o *Options) { o.Config = json.RawMessage(`{"a":1`) }, "config"},
		{"config with more behind", func(o *Options) { o.Config = json.RawMessage(`{} {}`) }, "something follows"},
		{"config with a member twice", func(o *Options) { o.Config = json.RawMessage(`{"a":1,"a":2}`) }, "member a is given twice"},
		{"labels of another type", func(o *Options) { o.Config = json.RawMessage(`{"Labels":[]}`) }, "member Labels"},
		{"annotations too large", func(o *Options) { o.Annotations["x"] = strings.Repeat("x", 5<<20) }, "registries take at most"},
	} {
		o := options()
		test.change(&o)
		_, err := New(o)
		if err == nil || !strings.Contains(err.Error(), test.want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: %v (class %d), want %q", test.name, err, fault.CodeOf(err), test.want)
		}
	}
}

func TestLabelsAlone(t *testing.T) {
	o := options()
	o.Config = nil
	img, err := New(o)
	if want := `"config":{"Labels":{"b":"of spec","c":"<&>"}},`; err != nil || !bytes.Contains(img.Config, []byte(want)) {
		t.Errorf("%v\n%s\nwant %s in it", err, img.Config, want)
	}
}

// No part of what New is given is written to.
func TestNewLeavesItsOptionsAlone(t *testing.T) {
	o := options()
	before, _ := json.Marshal(o)
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(o); !bytes.Equal(before, after) {
		t.Errorf("options became\n%s\nfrom\n%s", after, before)
	}
}

func TestComment(t *testing.T) {
	if got, want := Comment([]string{"/nix/store/a", "/nix/store/b"}), "store paths: /nix/store/a /nix/store/b"; got != want {
		t.Errorf("Comment = %q, want %q", got, want)
	}
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf("/nix/store/%043d", i)
	}
	got := Comment(many)
	if n := strings.Count(got, "/nix/store/"); len(got) > maxCommentSize+50 || !strings.HasSuffix(got, fmt.Sprintf(" and %d more", 5000-n)) {
		t.Errorf("Comment of 5,000 paths has %d bytes and %d paths, and ends in %q", len(got), n, got[len(got)-30:])
	}
}

func TestPlatform(t *testing.T) {
	for in, want := range map[string]string{"x86_64-linux": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm", "powerpc64le": "ppc64le", "AMD64": "want one of"} {
		if err := CheckArchitecture(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckArchitecture(%q) = %v, want a hint at %s", in, err, want)
		}
	}
}
