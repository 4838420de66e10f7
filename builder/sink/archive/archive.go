// Package archive writes an image as one tar archive that is two things at
// once: an OCI image layout (oci-layout, index.json, blobs/sha256/…) and what
// `docker save` makes (manifest.json, which points into the same blobs). docker,
// podman, skopeo, containerd and crane load it.
//
// The members, in this order:
//
//	blobs/  blobs/sha256/
//	blobs/sha256/DIGEST      each layer, bottom first
//	the documents            as Describe returns them
//
// Layers lie in the archive uncompressed, unless Archive.LayerCodec is set, so that
// one archive serves docker's both stores, and compressing the whole compresses each
// byte once. Of a compressed archive every member's header is a gzip member or zstd
// frame of its own that stores it as it is: its length is known when the digest in it
// is not.
//
// Written to a file, an archive is made in one pass over the store: the layers
// go to their places, and the headers with their digests are written when these
// are known. A pipe takes two passes, of which the first only hashes. The bytes
// are the same.
package archive

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/store/durable"
	"terrine/store/fault"
)

// A Member is a file in the archive.
type Member struct {
	Name string
	Data []byte
}

// A Blob is a layer as it lies in the archive.
type Blob struct {
	DiffID digest.Digest // of the uncompressed tar
	Digest digest.Digest // of the blob
	Size   int64         // of the blob, in bytes
}

// An Archive is an image to be written, as often as one likes, once at a time.
type Archive struct {
	Layers []*layer.Layer // bottom first
	Packer *layer.Packer
	// Codec compresses the archive as a whole. It has no influence on the image.
	Codec codec.Codec
	// LayerCodec compresses each layer, as registries have them. Then Codec must
	// be None: nothing is gained by compressing twice.
	LayerCodec codec.Codec
	// OneMember makes a compressed archive one gzip member, for decoders that read
	// no more than the first; nothing of it is kept for the next build.
	OneMember bool
	// NoSync has WriteFile not wait for the disk. A power cut soon after may leave
	// a file that is not whole; a crash of anything but the system does not.
	NoSync bool
	// Describe returns the documents of the image that has these layers, to be
	// written in this order behind them. It is called once for each writing.
	Describe func(blobs []Blob) ([]Member, error)
	// Stage is told what begins and how many bytes of layers it will handle; nil
	// for none.
	Stage func(name string, total int64)
}

// Names of stages.
const (
	stageHash     = "hash"
	stagePack     = "pack"
	stageCompress = "compress"
	stageMeasure  = "compress to measure"
	stageSync     = "sync" // to disk, of a file that is complete
)

const blobDir = "blobs/sha256/"

// blobName returns the name under which an archive holds a blob.
func blobName(d digest.Digest) string { return blobDir + d.Encoded() }

// placeholder stands for a digest that is not known yet.
const placeholder = digest.Digest("sha256:0000000000000000000000000000000000000000000000000000000000000000")

// WriteFile writes the archive to the file path, which appears when it is whole
// and on disk (see NoSync), or stays as it was. What earlier calls whose processes
// were killed have left beside it is removed. The result describes the file, even
// if another has taken its name by now.
func (a *Archive) WriteFile(ctx context.Context, path string) (os.FileInfo, error) {
	if err := durable.RemoveStale(path); err != nil {
		return nil, err
	}
	f, err := durable.Create(path, 0o644, durable.Options{NoSync: a.NoSync})
	if err != nil {
		return nil, err
	}
	defer f.Discard()
	switch none := codec.None(); {
	case a.LayerCodec != none:
		err = a.compressLayers(ctx, f)
	case a.OneMember:
		err = a.WriteTo(ctx, f)
	case a.Codec != none:
		err = a.compress(ctx, f)
	default:
		err = a.scatter(ctx, f)
	}
	if err != nil {
		return nil, durable.WriteError(path, err)
	}
	if a.Stage != nil {
		a.Stage(stageSync, 0)
	}
	err = f.Commit()
	return f.Published(), err
}

// WriteTo writes the archive to w, a pipe say. After an error w may have a part of
// it.
func (a *Archive) WriteTo(ctx context.Context, w io.Writer) error {
	if a.LayerCodec != codec.None() {
		return a.pipeLayers(ctx, w)
	}
	if a.OneMember {
		return a.oneMember(ctx, w)
	}
	a.stage(stageHash)
	diffIDs, err := a.Packer.Hash(ctx, a.Layers)
	if err != nil {
		return err
	}
	documents, err := a.Describe(a.plain(diffIDs))
	if err != nil {
		return err
	}
	out := &encoder{Writer: w, codec: a.Codec, packer: a.Packer}
	a.stage(a.stageName())
	if err := a.stream(ctx, out, diffIDs); err != nil {
		return err
	}
	return out.finish(ctx, documents)
}

// oneMember writes the archive as one member around what would else be many.
func (a *Archive) oneMember(ctx context.Context, w io.Writer) error {
	gate := &gate{w: w}
	z, err := a.Codec.NewStream(gate, a.Packer.Workers)
	if err != nil {
		return err
	}
	inner := *a
	inner.Codec, inner.OneMember = codec.None(), false
	if err = inner.WriteTo(ctx, z); err != nil {
		gate.shut.Store(true) // what is not whole must not end like what is
	}
	if closeErr := z.Close(); err == nil { // it has goroutines to join
		err = closeErr
	}
	return err
}

// A gate passes on what is written to it until it is shut.
type gate struct {
	w    io.Writer
	shut atomic.Bool
}

func (g *gate) Write(p []byte) (int, error) {
	if g.shut.Load() {
		return len(p), nil
	}
	return g.w.Write(p)
}

// plain describes layers that lie in the archive uncompressed.
func (a *Archive) plain(diffIDs []digest.Digest) []Blob {
	blobs := make([]Blob, len(diffIDs))
	for i, id := range diffIDs {
		blobs[i] = Blob{DiffID: id, Digest: id, Size: a.Layers[i].Size}
	}
	return blobs
}

// scatter writes the archive into an empty file, the layers first and in no
// order.
func (a *Archive) scatter(ctx context.Context, f *durable.File) error {
	a.stage(stagePack)
	before := head()
	offsets := make([]int64, len(a.Layers))
	end := int64(len(before))
	for i, l := range a.Layers {
		offsets[i] = end + layer.MemberSize(blobName(placeholder), l.Size)
		end = offsets[i] + l.Size
	}
	if err := f.Reserve(end); err != nil {
		return err
	}
	diffIDs, err := a.Packer.WriteAt(ctx, f, a.Layers, offsets)
	if err != nil {
		return err
	}
	documents, err := a.Describe(a.plain(diffIDs))
	if err != nil {
		return err
	}
	at := int64(0)
	put := func(b []byte, next int64) error {
		_, err := f.WriteAt(b, at)
		at = next
		return err
	}
	for i, l := range a.Layers {
		if err := put(layer.AppendMember(before, blobName(diffIDs[i]), l.Size), offsets[i]+l.Size); err != nil {
			return err
		}
		before = nil
	}
	return put(appendTail(before, documents), 0)
}

// compress writes the archive into an empty file, each part to its place as soon
// as that is known, and then the headers of the layers to the places that were
// kept for them.
func (a *Archive) compress(ctx context.Context, f *durable.File) error {
	a.stage(stageCompress)
	w := &placedFile{File: f}
	out := &encoder{Writer: w, codec: a.Codec, packer: a.Packer}
	if err := out.stored(head()); err != nil {
		return err
	}
	places := make([]int64, len(a.Layers))
	diffIDs, err := a.Packer.StreamAt(ctx, a.Layers, a.Codec, w, func(i int) error {
		places[i] = w.end
		return out.stored(a.header(i, placeholder))
	})
	if err != nil {
		return err
	}
	documents, err := a.Describe(a.plain(diffIDs))
	if err != nil {
		return err
	}
	if err := out.finish(ctx, documents); err != nil {
		return err
	}
	for i, id := range diffIDs {
		if _, err := f.WriteAt(a.Codec.Stored(nil, a.header(i, id)), places[i]); err != nil {
			return err
		}
	}
	return w.trim()
}

// header is what stands before layer i.
func (a *Archive) header(i int, id digest.Digest) []byte {
	return layer.AppendMember(nil, blobName(id), a.Layers[i].Size)
}

// stream writes everything but the documents to out, of layers whose DiffIDs are
// known.
func (a *Archive) stream(ctx context.Context, out *encoder, diffIDs []digest.Digest) error {
	if err := out.stored(head()); err != nil {
		return err
	}
	found, err := a.Packer.Stream(ctx, a.Layers, a.Codec, func(i int) (io.Writer, error) {
		return out, out.stored(a.header(i, diffIDs[i]))
	})
	if err != nil {
		return err
	}
	for i, want := range diffIDs {
		if found[i] != want {
			return changed(i, want, found[i])
		}
	}
	return nil
}

// changed is the error for a layer that had other bytes when it was written
// than when it was hashed, although no file changed its size or time meanwhile.
func changed(i int, before, after digest.Digest) error {
	err := fmt.Errorf("write layer %d: its contents changed while they were read: digest %s, then %s", i, before, after)
	return fault.Hint(fault.New(fault.Refused, err), "a store path never changes; find what writes to it, or verify the store")
}

func (a *Archive) stageName() string {
	if a.Codec == codec.None() {
		return stagePack
	}
	return stageCompress
}

func (a *Archive) stage(name string) {
	if a.Stage == nil {
		return
	}
	total := int64(0)
	for _, l := range a.Layers {
		total += l.Size
	}
	a.Stage(name, total)
}

// head returns what stands before the layers.
func head() []byte {
	return layer.AppendMember(layer.AppendMember(nil, "blobs/", 0), blobDir, 0)
}

// appendTail appends the documents and the end of the archive.
func appendTail(b []byte, documents []Member) []byte {
	for _, m := range documents {
		size := int64(len(m.Data))
		b = layer.AppendMember(b, m.Name, size)
		b = append(b, m.Data...)
		b = append(b, make([]byte, layer.MemberPadding(size))...)
	}
	return append(b, make([]byte, 1024)...)
}
