package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Names of annotations and media types; of those of layers their beginning.
const (
	containerdName   = "io.containerd.image.name"
	referenceType    = "vnd.docker.reference.type"
	dockerIndexType  = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfigType = "application/vnd.docker.container.image.v1+json"
	dockerLayerType  = "application/vnd.docker.image.rootfs."
	ociLayerType     = "application/vnd.oci.image.layer."
)

// index adds the images of an OCI index, and of the indexes in it.
func (a *archive) index(ctx context.Context, m *member, name string, depth int, images *[]Image) error {
	if depth == maxDepth {
		return fmt.Errorf("%s: index in index in index", m.name)
	}
	var index ocispec.Index
	if err := m.decode(&index); err != nil {
		return err
	}
	for i := range index.Manifests {
		if err := ctx.Err(); err != nil {
			return err
		}
		if a.seen++; a.seen > maxImages {
			return fmt.Errorf("%s: more than %d manifests in all", m.name, maxImages)
		}
		d := &index.Manifests[i]
		if d.Annotations[referenceType] != "" {
			continue // an attestation, or what else belongs to an image without being one
		}
		blob, err := a.blob(d)
		if err == nil && (d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerIndexType) {
			err = a.index(ctx, blob, cmp.Or(descriptorName(d), name), depth+1, images)
		} else if err == nil {
			err = a.manifest(blob, cmp.Or(descriptorName(d), name), images)
		}
		// An index may list the manifests of platforms that were not saved.
		if err != nil && !(errors.Is(err, errAbsent) && depth > 0) {
			return fmt.Errorf("%s: manifest %d: %w", m.name, i, err)
		}
	}
	return nil
}

// descriptorName is the name that a descriptor in an index gives an image.
func descriptorName(d *ocispec.Descriptor) string {
	return cmp.Or(d.Annotations[containerdName], d.Annotations[ocispec.AnnotationRefName])
}

var errAbsent = errors.New("is not in the archive")

// checkDigest refuses what cannot be compared with the digests of members.
func checkDigest(d digest.Digest) error {
	algorithm, _, ok := strings.Cut(string(d), ":")
	if ok && algorithm != string(digest.SHA256) {
		return fmt.Errorf("%.150s: of %.20s: only digests of sha256 are read", d, algorithm)
	}
	if err := d.Validate(); err != nil {
		return fmt.Errorf("%.150q: %w", d, err)
	}
	return nil
}

// blob returns the member that a descriptor means, with its bytes verified.
func (a *archive) blob(d *ocispec.Descriptor) (*member, error) {
	if err := checkDigest(d.Digest); err != nil {
		return nil, fmt.Errorf("digest %w", err)
	}
	m, ok := a.byHash[d.Digest]
	if !ok {
		name := ocispec.ImageBlobsDir + "/" + strings.Replace(d.Digest.String(), ":", "/", 1)
		if bad, err := a.follow(name); err == nil {
			return nil, mismatch(name, d.Digest, bad.digest)
		}
		return nil, fmt.Errorf("%s: %w", d.Digest, errAbsent)
	}
	if m.size != d.Size {
		return nil, fmt.Errorf("%s: has %d bytes, not %d as its descriptor says", d.Digest, m.size, d.Size)
	}
	return m, nil
}

// manifest adds the image of an OCI manifest, or completes it if it is known.
func (a *archive) manifest(m *member, name string, images *[]Image) error {
	var manifest ocispec.Manifest
	if err := m.decode(&manifest); err != nil {
		return err
	}
	if t := manifest.Config.MediaType; t != ocispec.MediaTypeImageConfig && t != dockerConfigType {
		return nil // an artifact of another kind
	}
	text, err := a.blob(&manifest.Config)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	var blobs []*member
	for i := range manifest.Layers {
		blob, err := a.blob(&manifest.Layers[i])
		if err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		switch t := manifest.Layers[i].MediaType; {
		case strings.HasSuffix(t, "+encrypted"):
			return fmt.Errorf("layer %d: is encrypted", i)
		case blob.layer == nil && blob.broken == nil && !strings.HasPrefix(t, ociLayerType) && !strings.HasPrefix(t, dockerLayerType):
			return nil // a signature or what else belongs to an image, with the config of one
		}
		blobs = append(blobs, blob)
	}
	image, err := newImage(text, blobs)
	if err != nil {
		return err
	}
	image.Digest, image.Annotations = m.digest, manifest.Annotations
	for i := range manifest.Layers {
		image.Layers[i].MediaType = manifest.Layers[i].MediaType
	}
	merge(images, image, name)
	return nil
}
