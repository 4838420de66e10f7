package tests

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/schema"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"terrine/tests/lab"
)

// spread writes the members of an archive to a directory, as an OCI image
// layout, and returns the directory.
func spread(t *testing.T, file string) string {
	t.Helper()
	dir := t.TempDir()
	seen := map[string]bool{}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatalf("read %s: %v", file, err)
		}
		if seen[h.Name] {
			t.Errorf("%s has %s twice", file, h.Name)
		}
		seen[h.Name] = true
		to := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(to, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), copyTo(to, r)); err != nil {
			t.Fatal(err)
		}
	}
}

func copyTo(file string, r io.Reader) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// checkDocuments tests the documents of an OCI image layout against the
// schemas of the image specification, and every blob against its digest, size
// and name, down from index.json. It returns the config.
func checkDocuments(t *testing.T, dir string) ocispec.Image {
	t.Helper()
	checkSchema(t, schema.ValidatorMediaTypeLayoutHeader, readFile(t, dir, "oci-layout"))
	indexText := readFile(t, dir, "index.json")
	checkSchema(t, schema.ValidatorMediaTypeImageIndex, indexText)
	var index ocispec.Index
	lab.Decode(t, indexText, &index)
	if len(index.Manifests) != 1 {
		t.Fatalf("index.json has %d manifests", len(index.Manifests))
	}
	manifestText := readBlob(t, dir, index.Manifests[0])
	checkSchema(t, schema.ValidatorMediaTypeManifest, manifestText)
	var manifest ocispec.Manifest
	lab.Decode(t, manifestText, &manifest)
	configText := readBlob(t, dir, manifest.Config)
	checkSchema(t, schema.ValidatorMediaTypeImageConfig, configText)
	var config ocispec.Image
	lab.Decode(t, configText, &config)
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) || len(config.History) != len(manifest.Layers) {
		t.Fatalf("%d layers, %d diffIDs, %d lines of history", len(manifest.Layers), len(config.RootFS.DiffIDs), len(config.History))
	}
	for i, l := range manifest.Layers {
		checkLayer(t, dir, l, config.RootFS.DiffIDs[i])
	}
	return config
}

// checkLayer tests the blob of a layer against its descriptor and its diffID.
func checkLayer(t *testing.T, dir string, d ocispec.Descriptor, diffID digest.Digest) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	blob := sha256.New()
	size := new(counter)
	var content io.Reader = io.TeeReader(f, io.MultiWriter(blob, size))
	switch d.MediaType {
	case ocispec.MediaTypeImageLayer:
	case ocispec.MediaTypeImageLayerGzip:
		if content, err = gzip.NewReader(content); err != nil {
			t.Fatalf("layer %s: %v", d.Digest, err)
		}
	default:
		t.Fatalf("layer %s has the media type %s", d.Digest, d.MediaType)
	}
	plain := sha256.New()
	if _, err := io.Copy(plain, content); err != nil {
		t.Fatalf("layer %s: %v", d.Digest, err)
	}
	if got := digest.NewDigest(digest.SHA256, blob); got != d.Digest || int64(*size) != d.Size {
		t.Errorf("layer %s of %d bytes has the digest %s and %d bytes", d.Digest, d.Size, got, *size)
	}
	if got := digest.NewDigest(digest.SHA256, plain); got != diffID {
		t.Errorf("layer %s has the diffID %s, the config has %s", d.Digest, got, diffID)
	}
}

// counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func checkSchema(t *testing.T, v schema.Validator, text []byte) {
	t.Helper()
	if err := v.Validate(bytes.NewReader(text)); err != nil {
		t.Errorf("not after the schema of %s: %v\n%s", v, err, text)
	}
}

func readFile(t *testing.T, elem ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// readBlob reads a document of a layout and tests it against its descriptor.
func readBlob(t *testing.T, dir string, d ocispec.Descriptor) []byte {
	t.Helper()
	text := readFile(t, dir, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded())
	if sum := sha256.Sum256(text); int64(len(text)) != d.Size || hex.EncodeToString(sum[:]) != d.Digest.Encoded() {
		t.Errorf("blob %s has %d bytes and the digest %x, want %d", d.Digest, len(text), sum, d.Size)
	}
	return text
}

// checkByCrane reads an archive and the layout in it as crane does, and has
// go-containerregistry test it. Of the layout it does not test the layers,
// which it takes for compressed: checkDocuments does.
func checkByCrane(t *testing.T, file, dir string) {
	t.Helper()
	image, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatalf("read %s as a docker archive: %v", file, err)
	}
	if err := validate.Image(image); err != nil {
		t.Errorf("%s as a docker archive: %v", file, err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatalf("read %s as an OCI layout: %v", file, err)
	}
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Errorf("%s as an OCI layout: %v", file, err)
	}
}

// tagOf returns what stands behind the last colon of a reference.
func tagOf(ref string) string { return ref[strings.LastIndexByte(ref, ':')+1:] }
