package inspect

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/store/fault"
)

// withManifest is the image of s in an OCI layout, and beside it another
// manifest, of these layers, with the blobs that it needs.
func withManifest(t testing.TB, s *sample, layers []any, blobs ...file) []byte {
	t.Helper()
	config := marshal(t, map[string]any{"architecture": "", "os": "", "rootfs": map[string]any{"type": "layers"}})
	manifest := marshal(t, map[string]any{
		"schemaVersion": 2, "config": descriptor("application/vnd.oci.image.config.v1+json", config), "layers": layers,
	})
	files := s.oci(t)
	files[1].text = marshal(t, map[string]any{"manifests": []any{
		descriptor("application/vnd.oci.image.manifest.v1+json", s.manifest),
		descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
	}})
	return makeTar(t, append(append(files, blob(config), blob(manifest)), blobs...)...)
}

// TestWhatBelongsToImages: signatures and attestations may stand beside an
// image, and have the config of one, and be large.
func TestWhatBelongsToImages(t *testing.T) {
	s := newSample(t, nil)
	signature := `{"critical":{}}`
	bill := "{" + strings.Repeat(" ", maxDocument) + "}"
	cases := map[string][]byte{
		"a signature, as by cosign save": withManifest(t, s,
			[]any{descriptor("application/vnd.dev.cosign.simplesigning.v1+json", signature)}, blob(signature)),
		"a bill of materials that is larger than documents are": withManifest(t, s,
			[]any{descriptor("application/vnd.in-toto+json", bill)}, blob(bill)),
	}
	for name, archive := range cases {
		t.Run(name, func(t *testing.T) {
			images, err := Read(t.Context(), bytes.NewReader(archive))
			if err != nil {
				t.Fatal(err)
			}
			if len(images) != 1 || images[0].Digest != digest.FromString(s.manifest) {
				t.Errorf("images %v, want the one of the sample", images)
			}
		})
	}
}

// TestLayersOfNothing: docker and podman load layers that have not even the end
// of a tar.
func TestLayersOfNothing(t *testing.T) {
	for _, size := range []int{0, 512, 1024, 10240} {
		s := &sample{}
		s.fill(t, [2][]byte{make([]byte, size), makeTar(t, file{name: "x"})}, nil)
		for form, files := range map[string][]file{"docker": s.docker(t), "oci": s.oci(t)} {
			images, err := Read(t.Context(), bytes.NewReader(makeTar(t, files...)))
			if err != nil {
				t.Errorf("%s: layer of %d bytes: %v", form, size, err)
				continue
			}
			if l := images[0].Layers[0]; l.DiffID != digest.FromBytes(s.tars[0]) || l.TarSize != int64(size) || l.Entries != 0 {
				t.Errorf("%s: layer of %d bytes: %+v", form, size, l)
			}
		}
	}
}

// TestReadTellsForms: forms of images that are none of ours, but well made, are
// not called damaged.
func TestReadTellsForms(t *testing.T) {
	s := newSample(t, nil)
	sum := sha512.Sum512(s.tars[0])
	long := "sha512:" + hex.EncodeToString(sum[:])
	short := digest.FromBytes(s.tars[0]).String()
	config := strings.Replace(s.config, short, long, 1)
	docker := s.docker(t)
	docker[3] = file{name: "c.json", text: config}
	docker[4].text = `[{"Config":"c.json","Layers":["one/layer.tar","two/layer.tar"]}]`
	manifest := strings.Replace(s.manifest, short, long, 1)
	oci := s.oci(t)
	oci[1].text = marshal(t, map[string]any{"manifests": []any{descriptor("application/vnd.oci.image.manifest.v1+json", manifest)}})
	oci[2], oci[4].name = blob(manifest), "blobs/sha512/"+long[len("sha512:"):]
	noDigest := s.docker(t)
	noDigest[3] = file{name: "c.json", text: strings.Replace(s.config, short, "0815", 1)}
	noDigest[4].text = docker[4].text
	secret := "not to be read"
	cases := []struct {
		name    string
		archive []byte
		want    string
	}{
		{"DiffIDs of sha512", makeTar(t, docker...), "layer 0: DiffID " + long + ": of sha512: only digests of sha256 are read"},
		{"blobs of sha512", makeTar(t, oci...), "layer 0: digest " + long + ": of sha512: only digests of sha256 are read"},
		{"a DiffID that is none", makeTar(t, noDigest...), `layer 0: DiffID "0815": invalid checksum digest format`},
		{"an encrypted layer", withManifest(t, s, []any{descriptor("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", secret)}, blob(secret)),
			"layer 0: is encrypted"},
		{"a directory of skopeo's in a tar", makeTar(t, file{name: "manifest.json", text: s.manifest}),
			"manifest.json: is a manifest as registries have it, and not that of a docker archive"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(t.Context(), bytes.NewReader(c.archive))
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.CodeOf(err) != fault.Refused {
				t.Errorf("error %v of class %d, want a refusal with %q", err, fault.CodeOf(err), c.want)
			}
		})
	}
}
