package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/store/durable"
)

// A blobWriter writes compressed layers as members of an archive, one behind the
// other, and finds out what they are.
type blobWriter struct {
	w     io.Writer
	blobs []Blob
	// header returns the header of blob i, before anything is known of it.
	header func(i int) []byte
	// places are where in the archive the headers stand.
	places []int64

	at   int64 // bytes written so far
	open int   // index of the blob being written, -1 for none
	hash hash.Hash
}

func newBlobWriter(w io.Writer, n int, header func(int) []byte) *blobWriter {
	return &blobWriter{w: w, blobs: make([]Blob, n), places: make([]int64, n), header: header, open: -1, hash: sha256.New()}
}

// begin ends the blob before i and writes the header of i.
func (b *blobWriter) begin(i int) (io.Writer, error) {
	if err := b.end(); err != nil {
		return nil, err
	}
	b.open, b.places[i] = i, b.at
	b.hash.Reset()
	return b, b.put(b.header(i))
}

// Write writes bytes of the open blob.
func (b *blobWriter) Write(p []byte) (int, error) {
	b.hash.Write(p)
	b.blobs[b.open].Size += int64(len(p))
	return len(p), b.put(p)
}

func (b *blobWriter) end() error {
	if b.open < 0 {
		return nil
	}
	blob := &b.blobs[b.open]
	b.open = -1
	blob.Digest = digest.NewDigest(digest.SHA256, b.hash)
	return b.put(make([]byte, layer.MemberPadding(blob.Size)))
}

func (b *blobWriter) put(p []byte) error {
	n, err := b.w.Write(p)
	b.at += int64(n)
	return err
}

// blobLayers compresses the layers into b.
func (a *Archive) blobLayers(ctx context.Context, b *blobWriter) error {
	if a.Codec != codec.None() || a.OneMember {
		return errors.New("compress layers: the archive is compressed as a whole already")
	}
	diffIDs, err := a.Packer.Stream(ctx, a.Layers, a.LayerCodec, b.begin)
	if err != nil {
		return err
	}
	if err := b.end(); err != nil {
		return err
	}
	for i := range diffIDs {
		b.blobs[i].DiffID = diffIDs[i]
		if b.blobs[i].Size > maxBlob {
			return fmt.Errorf("write layer %d: it has %d bytes compressed: more than a plain header can say", i, b.blobs[i].Size)
		}
	}
	return nil
}

// maxBlob is what the size field of a tar header holds. The room for a header is
// kept before the size is known.
const maxBlob = 1<<33 - 1

func placeholderHeader(int) []byte { return layer.AppendMember(nil, blobName(placeholder), 0) }

// compressLayers writes an archive with compressed layers into an empty file.
func (a *Archive) compressLayers(ctx context.Context, f *durable.File) error {
	a.stage(stageCompress)
	b := newBlobWriter(f, len(a.Layers), placeholderHeader)
	if err := b.put(head()); err != nil {
		return err
	}
	if err := a.blobLayers(ctx, b); err != nil {
		return err
	}
	documents, err := a.Describe(b.blobs)
	if err != nil {
		return err
	}
	if err := b.put(appendTail(nil, documents)); err != nil {
		return err
	}
	for i, blob := range b.blobs {
		if _, err := f.WriteAt(layer.AppendMember(nil, blobName(blob.Digest), blob.Size), b.places[i]); err != nil {
			return err
		}
	}
	return nil
}

// pipeLayers writes an archive with compressed layers to a pipe: once to nowhere,
// to know the digests and sizes, and then again, from the cache if there is one.
func (a *Archive) pipeLayers(ctx context.Context, w io.Writer) error {
	a.stage(stageMeasure)
	first := newBlobWriter(io.Discard, len(a.Layers), placeholderHeader)
	if err := a.blobLayers(ctx, first); err != nil {
		return err
	}
	documents, err := a.Describe(first.blobs)
	if err != nil {
		return err
	}
	a.stage(stageCompress)
	second := newBlobWriter(w, len(a.Layers), func(i int) []byte {
		return layer.AppendMember(nil, blobName(first.blobs[i].Digest), first.blobs[i].Size)
	})
	if err := second.put(head()); err != nil {
		return err
	}
	if err := a.blobLayers(ctx, second); err != nil {
		return err
	}
	for i, blob := range second.blobs {
		if blob != first.blobs[i] {
			return changed(i, first.blobs[i].DiffID, blob.DiffID)
		}
	}
	return second.put(appendTail(nil, documents))
}
