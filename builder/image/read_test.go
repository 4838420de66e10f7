package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"terrine/store/fault"
)

// layout is an image layout in memory.
type layout map[string][]byte

func (l layout) open(name string) (io.ReadCloser, error) {
	data, ok := l[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// blob adds a blob and returns a descriptor of it, as JSON.
func (l layout) blob(mediaType, text string) string {
	d := digest.FromString(text)
	l[BlobPath(d)] = []byte(text)
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, d, len(text))
}

func index(descriptors ...string) []byte {
	return []byte(`{"schemaVersion":2,"manifests":[` + strings.Join(descriptors, ",") + `]}`)
}

// What New and Index make is what ReadLayout reads.
func TestReadLayoutReadsWhatIsMade(t *testing.T) {
	img, err := New(options())
	if err != nil {
		t.Fatal(err)
	}
	data, err := Index(Named{img, []Reference{{"a", "1"}}}, Named{Image: img})
	if err != nil {
		t.Fatal(err)
	}
	l := layout{IndexFile: data, BlobPath(img.ManifestDescriptor.Digest): img.Manifest, BlobPath(img.ConfigDescriptor.Digest): img.Config}
	got, err := ReadLayout(l.open)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "docker.io/library/a:1" || got[1].Name != "" {
		t.Fatalf("read %+v", got)
	}
	c := got[0].Config
	if want := `{"Healthcheck":{"Test":["CMD","a<b","\u003c"],"Interval":1e9},"Labels":{"a":"of config","b":"of spec","c":"<&>"},"Unknown":{"z":1,"a":null}}`; string(c.Config) != want {
		t.Errorf("config %s, want %s", c.Config, want)
	}
	if c.Platform() != options().Platform || !c.Created.Equal(options().Created) {
		t.Errorf("platform %v, created %v", c.Platform(), c.Created)
	}
	if diff := cmp.Diff([]string{"layer 0", "layer 1"}, c.Comments()); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
	if len(got[0].Manifest.Layers) != 2 || got[0].Manifest.Layers[1].Digest != img.Layers[1].Digest {
		t.Errorf("layers %v", got[0].Manifest.Layers)
	}
}

func TestReadLayoutOfOthers(t *testing.T) {
	l := layout{}
	config := l.blob(dockerConfig, `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]},"config":null,"history":[{"comment":"x","empty_layer":true}]}`)
	image := l.blob(dockerSchema2, `{"schemaVersion":2,"config":`+config+`,"layers":[],"unknown":{"X":1}}`)
	artifact := l.blob(v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":`+l.blob("application/vnd.oci.empty.v1+json", "{}")+`,"layers":[]}`)
	attestation := strings.TrimSuffix(l.blob(v1.MediaTypeImageManifest, "no JSON"), "}") + `,"annotations":{"vnd.docker.reference.type":"attestation-manifest"}}`
	absent := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, v1.MediaTypeImageManifest, digest.FromString("absent"))
	inner := strings.TrimSuffix(l.blob(dockerIndex, string(index(image, absent, artifact, attestation))), "}") + `,"annotations":{"org.opencontainers.image.ref.name":"tag"}}`
	other := l.blob("application/x-other", "other")
	l[IndexFile] = index(inner, other)
	got, err := ReadLayout(l.open)
	if err != nil || len(got) != 1 || got[0].Name != "tag" || got[0].Config.Config != nil || len(got[0].Config.Comments()) != 0 {
		t.Errorf("ReadLayout = %+v, %v", got, err)
	}
	l[IndexFile] = index(absent)
	if _, err := ReadLayout(l.open); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing manifest: %v", err)
	}
	if _, err := ReadLayout(layout{}.open); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing index: %v", err)
	}
}

// Indexes in indexes end, as does a list of many.
func TestReadLayoutIsBounded(t *testing.T) {
	l := layout{}
	deep := l.blob(v1.MediaTypeImageIndex, string(index()))
	for range maxIndexDepth {
		deep = l.blob(v1.MediaTypeImageIndex, string(index(deep)))
	}
	wide := strings.TrimSuffix(strings.Repeat(l.blob("application/x", "x")+",", 600), ",")
	for name, data := range map[string][]byte{
		"deep":  index(deep),
		"wide":  index(strings.TrimSuffix(strings.Repeat(wide+",", 2), ",")),
		"many":  index(l.blob(v1.MediaTypeImageIndex, string(index(wide))), wide),
		"large": append(index(), bytes.Repeat([]byte(" "), maxDocumentSize)...),
	} {
		l := maps.Clone(l)
		l[IndexFile] = data
		if _, err := ReadLayout(l.open); fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadLayoutVerifies(t *testing.T) {
	l := layout{}
	manifest := l.blob(v1.MediaTypeImageManifest, `{"schemaVersion":2,"config":`+l.blob(v1.MediaTypeImageConfig, `{"rootfs":{"diff_ids":[]}}`)+`,"layers":[]}`)
	l[IndexFile] = index(manifest)
	if _, err := ReadLayout(l.open); err != nil {
		t.Fatal(err)
	}
	for name := range l {
		if name == IndexFile {
			continue
		}
		damaged := maps.Clone(l)
		damaged[name] = bytes.Replace(l[name], []byte("{"), []byte(" "), 1)
		if _, err := ReadLayout(damaged.open); fault.CodeOf(err) != fault.Integrity {
			t.Errorf("another byte in %s: %v", name, err)
		}
		damaged[name] = append(bytes.Clone(l[name]), ' ')
		if _, err := ReadLayout(damaged.open); fault.CodeOf(err) != fault.Integrity {
			t.Errorf("a byte more in %s: %v", name, err)
		}
	}
}

const (
	someDigest = "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"
	someConfig = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + someDigest + `","size":1}`
)

func descriptorWith(fields string) string {
	return `{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"` + someDigest + `","size":1,` + fields + `}]}`
}

func TestParseRefuses(t *testing.T) {
	parseIndex := func(data []byte) error { _, err := ParseIndex(data); return err }
	parseManifest := func(data []byte) error { _, err := ParseManifest(data); return err }
	parseConfig := func(data []byte) error { _, err := ParseConfig(data, 1); return err }
	manifest := func(layers string) string { return `{"schemaVersion":2,` + someConfig + `,"layers":[` + layers + `]}` }
	for _, test := range []struct {
		name  string
		parse func([]byte) error
		data  string
		want  string
	}{
		{"empty", parseIndex, "", "unexpected EOF"},
		{"no JSON", parseIndex, "<html>", "invalid character"},
		{"cut off", parseIndex, `{"schemaVersion":2`, "EOF"},
		{"array", parseIndex, `[]`, "cannot unmarshal"},
		{"trailing data", parseIndex, `{"schemaVersion":2} {}`, "something follows"},
		{"not UTF-8", parseIndex, "{\"x\":\"\xff\"}", "UTF-8"},
		{"field twice", parseManifest, `{"schemaVersion":2,"schemaVersion":2}`, `"schemaVersion" is given twice`},
		{"field in another case", parseManifest, `{"schemaVersion":2,"Layers":[]}`, `some readers take it for "layers"`},
		{"field in another case, deep down", parseIndex, descriptorWith(`"Digest":"x"`), `take it for "digest"`},
		{"deep", parseIndex, `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested more than"},
		{"large", parseIndex, `{"x":"` + strings.Repeat("a", maxDocumentSize) + `"}`, "at most"},
		{"version", parseIndex, `{"schemaVersion":1}`, "schemaVersion is 1"},
		{"no version", parseManifest, `{}`, "schemaVersion is 0"},
		{"manifest for an index", parseIndex, manifest(""), "at once"},
		{"index for a manifest", parseManifest, `{"schemaVersion":2,` + someConfig + `,"manifests":[]}`, "at once"},
		{"media type", parseIndex, `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `"}`, "not that of an index"},
		{"media type of a manifest", parseManifest, `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `"}`, "not that of an image"},
		{"artifact", parseManifest, strings.Replace(manifest(""), "oci.image.config", "x.config", 1), "it is no image"},
		{"digest that climbs", parseManifest, manifest(`{"mediaType":"a/b","digest":"sha256:../../x","size":1}`), "layer 0: digest"},
		{"digest in capitals", parseManifest, manifest(`{"mediaType":"a/b","digest":"` + strings.Replace(someDigest, "5f", "5F", 1) + `","size":1}`), "layer 0: digest"},
		{"digest of another algorithm", parseIndex, strings.Replace(descriptorWith(`"x":1`), "sha256:", "md5:", 1), "digest"},
		{"no digest", parseIndex, `{"schemaVersion":2,"manifests":[{}]}`, "manifest 0: digest"},
		{"negative size", parseManifest, manifest(`{"mediaType":"a/b","digest":"` + someDigest + `","size":-1}`), "negative"},
		{"huge size", parseManifest, manifest(`{"mediaType":"a/b","digest":"` + someDigest + `","size":1e30}`), "cannot unmarshal"},
		{"no media type", parseManifest, manifest(`{"digest":"` + someDigest + `","size":1}`), "media type"},
		{"data of another digest", parseIndex, descriptorWith(`"data":"eA=="`), "the content has digest"},
		{"many layers", parseManifest, manifest(strings.TrimSuffix(strings.Repeat(`{},`, 1001), ",")), "1001 layers"},
		{"config without diffIDs", parseConfig, `{}`, "0 diffIDs for 1 layers"},
		{"config with more diffIDs", parseConfig, `{"rootfs":{"diff_ids":["` + someDigest + `","` + someDigest + `"]}}`, "2 diffIDs for 1 layers"},
		{"config with a bad diffID", parseConfig, `{"rootfs":{"diff_ids":["sha256:x"]}}`, "diffID 0"},
		{"config of another type", parseConfig, `{"rootfs":{"type":"x","diff_ids":["` + someDigest + `"]}}`, "want layers"},
		{"config with another date", parseConfig, `{"created":"yesterday"}`, "read config"},
	} {
		err := test.parse([]byte(test.data))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		} else if code := fault.CodeOf(err); code != fault.Refused && code != fault.Integrity {
			t.Errorf("%s: class %d: %v", test.name, code, err)
		}
	}
}

// Keys that are the user's may be in any case.
func TestParseTakesUsersKeys(t *testing.T) {
	if _, err := ParseConfig([]byte(`{"rootfs":{"diff_ids":[]},"config":{"Labels":{"Layers":"x","layers":"y"},"User":"x","Image":""}}`), 0); err != nil {
		t.Error(err)
	}
	if _, err := ParseIndex([]byte(descriptorWith(`"annotations":{"Digest":"x","digest":"y"}`))); err != nil {
		t.Error(err)
	}
}

// FuzzParse: no input panics, and what is taken can be relied on.
func FuzzParse(f *testing.F) {
	img, err := New(options())
	if err != nil {
		f.Fatal(err)
	}
	data, err := Index(Named{Image: img})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{img.Config, img.Manifest, data, []byte(descriptorWith(`"data":"MA=="`)), []byte(`{"x":[[{}]]}`)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := ParseManifest(data); err == nil {
			for _, d := range append(m.Layers, m.Config) {
				BlobPath(d.Digest) // panics for a malformed digest
			}
		}
		if i, err := ParseIndex(data); err == nil {
			for _, d := range i.Manifests {
				BlobPath(d.Digest)
			}
		}
		if c, err := ParseConfig(data, 2); err == nil && len(c.Comments()) != 2 {
			t.Errorf("%d comments for 2 layers", len(c.Comments()))
		}
		ReadLayout(layout{IndexFile: data}.open)
	})
}
