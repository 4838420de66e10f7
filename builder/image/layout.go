package image

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Names of files in an image layout and a docker archive.
const (
	LayoutFile         = v1.ImageLayoutFile // "oci-layout"
	IndexFile          = v1.ImageIndexFile  // "index.json"
	DockerManifestFile = "manifest.json"
)

// Annotations by which tools find a name in an index: containerd, docker and
// podman take the whole reference from the first, and skopeo and umoci take
// the second for the tag.
const (
	annotationFullName = "io.containerd.image.name"
	annotationTag      = v1.AnnotationRefName
)

const schemaVersion = 2

// BlobPath returns where a blob lies in an image layout.
func BlobPath(d digest.Digest) string {
	return v1.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

// Layout returns the content of LayoutFile.
func Layout() []byte { return []byte(`{"imageLayoutVersion":"` + v1.ImageLayoutVersion + `"}`) }

// Named is an image with the references it goes by.
type Named struct {
	Image      *Image
	References []Reference
}

type indexFile struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Manifests     []v1.Descriptor `json:"manifests"`
}

// Index returns the content of IndexFile: a descriptor for each reference, or
// one without a name for an image that has none.
func Index(images ...Named) ([]byte, error) {
	f := indexFile{SchemaVersion: schemaVersion, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, n := range images {
		if len(n.References) == 0 {
			f.Manifests = append(f.Manifests, n.Image.ManifestDescriptor)
		}
		for _, r := range n.References {
			d := n.Image.ManifestDescriptor
			d.Annotations = map[string]string{annotationFullName: r.Full(), annotationTag: r.Tag}
			f.Manifests = append(f.Manifests, d)
		}
	}
	b, err := encode(f)
	if err != nil {
		return nil, fmt.Errorf("make index: %w", err)
	}
	return b, nil
}

type dockerManifest struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// DockerManifest returns the content of DockerManifestFile. It points to the
// same blobs as the index does.
func DockerManifest(images ...Named) ([]byte, error) {
	f := []dockerManifest{}
	for _, n := range images {
		m := dockerManifest{Config: BlobPath(n.Image.ConfigDescriptor.Digest), RepoTags: []string{}}
		for _, r := range n.References {
			m.RepoTags = append(m.RepoTags, r.String())
		}
		for _, l := range n.Image.Layers {
			m.Layers = append(m.Layers, BlobPath(l.Digest))
		}
		f = append(f, m)
	}
	b, err := encode(f)
	if err != nil {
		return nil, fmt.Errorf("make docker manifest: %w", err)
	}
	return b, nil
}
