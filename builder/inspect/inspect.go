// Package inspect tells what is in an image archive: one that terrine made,
// or one by docker save, podman save, skopeo, buildkit or crane; a docker
// archive, an OCI image layout in a tar, or both in one; plain or compressed
// by gzip, zstd, xz or bzip2.
//
// An archive is read once, from front to back, and may come through a pipe.
// Its members can stand in any order, so each is looked at as it passes: of a
// layer only what there is to tell is kept, documents are kept whole, and in
// the end the documents say which layers make an image. All digests that
// documents name are compared with those of the bytes that were read.
//
// Archives come from anywhere, and every size in them is bounded: see limits.
package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/store/fault"
)

// Image is one image of an archive.
type Image struct {
	// Names are those that the archive gives the image, such as "hello:latest",
	// in its order and without duplicates.
	Names []string
	// Digest is that of the manifest; empty if the archive has none, as old
	// docker archives.
	Digest digest.Digest
	// ID is the digest of the config.
	ID digest.Digest

	OS, Architecture, Variant string
	Created                   time.Time // zero if the config does not say

	// Config is the config object of the config: what a container runs.
	Config json.RawMessage
	// Annotations are those of the manifest.
	Annotations map[string]string
	// Layers are those of the image, bottom first.
	Layers []Layer

	named bool // by the docker part, whose names count then
}

// Layer is one layer of an image.
type Layer struct {
	MediaType string        // as the manifest has it; empty without a manifest
	Digest    digest.Digest // of the blob as the archive holds it
	Size      int64         // bytes of that blob
	DiffID    digest.Digest // of the uncompressed tar
	TarSize   int64         // bytes of that
	Entries   int           // entries of the tar
	Comment   string        // of the history of the image; may be empty
	CreatedBy string        // the same
	// Paths are the store paths in the layer, in their order there, each once.
	Paths []StorePath
}

// StorePath is a store path in a layer.
type StorePath struct {
	Path string
	Size int64 // bytes of file contents, or the largest number if they are more
}

// limits of what an archive may have. Layers themselves stream, and have none.
const (
	maxMembers   = 1 << 17  // files in the archive: 125 layers are far below it
	maxDocument  = 4 << 20  // bytes of a document; registries refuse larger ones
	maxDocuments = 64 << 20 // bytes of all documents
	maxNames     = 32 << 20 // bytes of the names of members, and of store paths in all layers
	maxName      = 4096     // bytes of the name or target of an entry: what Linux takes
	maxImages    = 1000     // images, and manifests in all indexes
	maxLayers    = 1000     // of one image
	maxDepth     = 4        // of indexes in indexes
	maxPadding   = 64 << 20 // bytes after the end of the archive; nobody pads to more than 1 MiB
)

// Read reads an archive and returns its images, in its order: at least one.
// Malformed archives are errors of class fault.Refused, and those whose bytes
// are not what their digests say of class fault.Integrity. Read stops when ctx
// ends.
func Read(ctx context.Context, r io.Reader) ([]Image, error) {
	a, err := read(ctx, r, nil)
	if err != nil {
		return nil, classify(ctx, err)
	}
	images, err := a.images(ctx)
	if err != nil {
		return nil, classify(ctx, err)
	}
	return images, nil
}

func read(ctx context.Context, r io.Reader, refs *references) (*archive, error) {
	plain, err := decompress(&contextReader{ctx, r})
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return scan(plain, refs)
}

// contextReader fails with the cause of ctx once that is done. It marks the
// errors of the underlying reader, to tell them from those of formats.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// readError is an error of the reader and not of what was read.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func (c *contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, &readError{context.Cause(c.ctx)}
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}

// classify gives err the class of bad input, unless it has another or none of
// the archive's own.
func classify(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*readError](err); ok || fault.CodeOf(err) != fault.Failed {
		return err
	}
	return fault.New(fault.Refused, err)
}

func mismatch(what string, want, got digest.Digest) error {
	return fault.New(fault.Integrity, fmt.Errorf("%s: digest is %s, but the bytes have %s", what, want, got))
}
