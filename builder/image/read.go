package image

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Stored is an image found in a layout.
type Stored struct {
	// Descriptor refers to the manifest, with the annotations of the index.
	Descriptor v1.Descriptor
	Manifest   *v1.Manifest
	Config     *ConfigFile
	// Name is the reference that the index gives it: a whole one, or a tag
	// alone, or nothing.
	Name string
}

// annotationReferenceType marks what BuildKit stores beside an image.
const annotationReferenceType = "vnd.docker.reference.type"

// Opener opens a file of a layout by its name, such as "index.json" or
// "blobs/sha256/…". Its error is fs.ErrNotExist for a file that is not there.
type Opener func(name string) (io.ReadCloser, error)

// ReadLayout reads the documents of an OCI image layout: all images of its
// index, and of the indexes in it, in their order. Layers are not opened. Each
// document is verified against its descriptor; sizes and numbers are bounded.
// What an inner index lists without it being there is left out, as are
// manifests that are not of images. Errors have the class fault.Refused, or
// fault.Integrity for content that is not what its digest says.
func ReadLayout(open Opener) ([]Stored, error) {
	r := layoutReader{open: open}
	data, err := r.document(IndexFile)
	if err != nil {
		return nil, fmt.Errorf("read image layout: %w", err)
	}
	if err := r.index(data, "", 0); err != nil {
		return nil, fmt.Errorf("read image layout: %w", err)
	}
	return r.images, nil
}

type layoutReader struct {
	open   Opener
	seen   int // manifests, of all indexes
	images []Stored
}

// document returns a whole file, which must be of a document's size.
func (r *layoutReader) document(name string) ([]byte, error) {
	f, err := r.open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDocumentSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(data) > maxDocumentSize:
		return nil, refuse(fmt.Errorf("read %s: more than %d bytes", name, maxDocumentSize))
	}
	return data, nil
}

// blob returns the document that d refers to.
func (r *layoutReader) blob(d v1.Descriptor) ([]byte, error) {
	data, err := r.document(BlobPath(d.Digest))
	if err != nil {
		return nil, err
	}
	return data, Verify(d, data)
}

func (r *layoutReader) index(data []byte, name string, depth int) error {
	if depth >= maxIndexDepth {
		return refuse(fmt.Errorf("indexes in indexes more than %d deep", maxIndexDepth))
	}
	index, err := ParseIndex(data)
	if err != nil {
		return err
	}
	for _, d := range index.Manifests {
		if r.seen++; r.seen > maxManifests {
			return refuse(fmt.Errorf("more than %d manifests in all", maxManifests))
		}
		err := r.entry(d, cmp.Or(d.Annotations[annotationFullName], d.Annotations[annotationTag], name), depth)
		if err != nil && !(depth > 0 && errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("%s: %w", d.Digest, err)
		}
	}
	return nil
}

// entry reads what an entry of an index refers to.
func (r *layoutReader) entry(d v1.Descriptor, name string, depth int) error {
	if d.Annotations[annotationReferenceType] != "" {
		return nil // an attestation, in the shape of an image
	}
	switch d.MediaType {
	case v1.MediaTypeImageIndex, dockerIndex:
		data, err := r.blob(d)
		if err != nil {
			return err
		}
		return r.index(data, name, depth+1)
	case v1.MediaTypeImageManifest, dockerSchema2:
		return r.image(d, name)
	}
	return nil
}

func (r *layoutReader) image(d v1.Descriptor, name string) error {
	data, err := r.blob(d)
	if err != nil {
		return err
	}
	manifest, err := ParseManifest(data)
	if errors.Is(err, errNoImage) {
		return nil
	}
	if err != nil {
		return err
	}
	if data, err = r.blob(manifest.Config); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	config, err := ParseConfig(data, len(manifest.Layers))
	if err != nil {
		return err
	}
	r.images = append(r.images, Stored{Descriptor: d, Manifest: manifest, Config: config, Name: name})
	return nil
}
