package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"terrine/builder/image"
	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/builder/memo"
	"terrine/builder/rootfs"
	"terrine/builder/sink/archive"
	"terrine/store"
	"terrine/store/fault"
)

// A Result is an image that was made.
type Result struct {
	Digest    digest.Digest // of the manifest
	ImageID   digest.Digest // of the config
	Reference image.Reference
	Layers    []BuiltLayer // bottom first; the last is the root layer
	// Conflicts tell of the paths of the root layer that several contents claim.
	Conflicts []string
	// Unchanged says that the output held this image already, and was left alone.
	Unchanged bool
}

// A BuiltLayer is a layer of a Result.
type BuiltLayer struct {
	image.Layer
	Paths []store.Path // none for the root layer
}

// Output says where an archive goes and how.
type Output struct {
	// Path is a file to be written; it appears when it is whole. Writer is taken
	// if Path is empty.
	Path   string
	Writer io.Writer
	// Codec compresses the archive as a whole.
	Codec codec.Codec
	// LayerCodec compresses each layer instead, and so decides what their digests
	// and media types are.
	LayerCodec codec.Codec
	// OneMember makes a gzip archive of one member.
	OneMember bool
	// References are further names of the image, beside that of the spec.
	References []image.Reference
	// NoSync does not wait until the file is on disk; see archive.Archive.
	NoSync bool
	// Force writes the file even if it is known to hold the image already.
	Force bool

	stream *stream // nil for a file
}

// WriteArchive makes the image that p plans and writes it as one archive that
// docker and OCI tools load. What o.Memo knows is not worked out again, and what
// it does not know is told to it; the bytes are the same with and without.
func (p *Plan) WriteArchive(ctx context.Context, out Output, o Options) (*Result, error) {
	if err := checkOneOf(o.Verify, "", VerifyNone, VerifyMeta, VerifyFull); err != nil {
		return nil, fmt.Errorf("verify store paths: %w", err)
	}
	progress := Progress(timed{progressOr(o.Progress), p.timing})
	defer progress.Done()
	defer o.Memo.report(p.timing)
	p.timing.Begin(PhaseLookup)
	rows, err := p.rows(ctx, o.Memo)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		o.Memo.warn(err)
		rows = make([]*memo.Layer, len(p.Layers)+1)
	}
	o.Memo.looked(p.timing, rows, out.LayerCodec)
	predicted, err := p.predict(rows, out.LayerCodec)
	if err != nil {
		return nil, err
	}
	if predicted != nil && !out.Force && o.Verify != VerifyFull {
		if o.Memo.isWritten(ctx, predicted, out) {
			p.timing.looked(lookupOutput, 1, 0)
			predicted.Unchanged = true
			return predicted, nil
		}
		p.timing.looked(lookupOutput, 0, 1)
	}
	done, err := out.open(ctx)
	if err != nil {
		return nil, err
	}
	result, err := p.pack(ctx, rows, out, o, progress)
	if errors.Is(err, errRemembered) {
		o.Memo.doubt(ctx, err)
		// Whether that is damage say the NAR hashes.
		o.Verify = VerifyFull
		result, err = p.pack(ctx, make([]*memo.Layer, len(rows)), out, o, progress)
	}
	if closeErr := done(); err == nil {
		err = closeErr
	}
	return result, p.vanished(err)
}

// errRemembered says that a file or a layer is another than the memo says.
var errRemembered = errors.New("it is not what it was")

// pack makes and writes the image. rows are what is known of its layers.
func (p *Plan) pack(ctx context.Context, rows []*memo.Layer, out Output, o Options, progress Progress) (*Result, error) {
	progress.Stage(PhaseScan, 0)
	tree, err := rootfs.Build(ctx, p.root)
	if err != nil {
		return nil, err
	}
	packed, err := p.scan(ctx, tree, o)
	if err != nil {
		return nil, err
	}
	if o.Verify != VerifyFull {
		packed.know(rows)
	}
	result := &Result{Conflicts: notes(tree.Conflicts())}
	a := &archive.Archive{
		Layers:     packed.layers,
		Packer:     o.packer(progress, packed.held),
		Codec:      out.Codec,
		LayerCodec: out.LayerCodec,
		OneMember:  out.OneMember,
		NoSync:     out.NoSync,
		Stage:      progress.Stage,
		Describe: func(blobs []archive.Blob) ([]archive.Member, error) {
			if err := p.contradicted(rows, blobs, out.LayerCodec); err != nil {
				return nil, err
			}
			documents, err := p.describe(result, blobs, out)
			if err == nil && out.stream != nil {
				err = out.stream.begin(result.Digest)
			}
			return documents, err
		},
	}
	written, err := write(ctx, a, out)
	if err != nil {
		return nil, packed.suspect(err, o.Verify)
	}
	if written != nil {
		p.timing.add(written.Size())
	}
	if o.Memo != nil {
		progress.Stage(PhaseRemember, 0)
	}
	o.Memo.save(ctx, p, rows, packed, result, out)
	o.Memo.saveOutput(ctx, result, out, written)
	return result, nil
}

// suspect returns err, which packing p met, as errRemembered if it may come of what is
// remembered.
func (p *packing) suspect(err error, verify string) error {
	kept, ok := errors.AsType[*layer.KeptError](err)
	switch {
	case ok && verify == VerifyFull: // nothing is taken from the memo then
		return changed(kept.Path)
	case ok:
		return &contradiction{[]digest.Digest{kept.Key}}
	case p.remembers && layer.IsStale(err):
		return fmt.Errorf("%w: %w", errRemembered, err)
	}
	return err
}

// changed is the error for a store path of which this build has read two things.
func changed(p store.Path) error {
	err := fmt.Errorf("read %s: its files changed while they were read", p)
	return fault.New(fault.Refused, fault.Hint(err, "a store path never changes; find what writes to it, or verify the store"))
}

// write writes a to out, and describes the file if that is one.
func write(ctx context.Context, a *archive.Archive, out Output) (fs.FileInfo, error) {
	if out.stream == nil {
		return a.WriteFile(ctx, out.Path)
	}
	err := a.WriteTo(ctx, out.stream)
	if err != nil && out.Path != "" {
		err = fmt.Errorf("write %s: %w", out.Path, err)
	}
	return nil, err
}

// A packing is an image that is ready to be packed.
type packing struct {
	layers    []*layer.Layer // the root layer last
	objects   store.Objects  // of all layers, and their scaffolds
	scaffolds []*layer.Scaffold
	made      []uint32 // which of these are not remembered yet
	// remembers says that some scaffolds are not of this build: a file that does
	// not fit one may have changed long ago.
	remembers bool
	held      *contents
}

// know gives the layers of store objects the DiffIDs that rows have, if these are of
// the contents that all else is of that is remembered. Not the root
// layer: it shows names in store paths, which no layer below it attests.
func (p *packing) know(rows []*memo.Layer) {
	for i := range len(p.layers) - 1 {
		if sum, ok := p.layers[i].Sum(p.held.sum); ok && rows[i].Known() && rows[i].Has(&sum) {
			p.layers[i].DiffID = rows[i].DiffID
		}
	}
}

// scan makes the layers ready to be packed, by scaffolds that are remembered and
// by walks for the others.
func (p *Plan) scan(ctx context.Context, tree *rootfs.Tree, o Options) (*packing, error) {
	all := some{all: p.objects}
	for i := range p.Layers {
		all.of = append(all.of, p.Layers[i].members()...)
	}
	packed := &packing{objects: all, held: newContents()}
	if err := o.Memo.scaffolds(ctx, packed, p.policy, o); err != nil {
		return nil, err
	}
	packed.remembers = o.Memo != nil && len(packed.made) < all.Len()
	scaffolds := packed.scaffolds
	for i := range p.Layers {
		n := p.Layers[i].Objects.Len()
		packed.layers = append(packed.layers, layer.New(p.policy, p.Layers[i].Objects, scaffolds[:n]))
		scaffolds = scaffolds[n:]
	}
	root, err := layer.NewTree(ctx, tree, p.policy.Owner.Mtime)
	packed.layers = append(packed.layers, root)
	return packed, err
}

func (o *Options) packer(progress Progress, held *contents) *layer.Packer {
	p := &layer.Packer{Workers: o.Workers, Progress: progress.Add, Warn: o.Memo.warn, Verify: o.Verify == VerifyFull, Trust: o.Verify == VerifyNone}
	if o.Memo != nil {
		p.Held, p.Parts = held.hold, &heldParts{o.Memo.memo, held}
	}
	return p
}

func notes(conflicts []rootfs.Conflict) (lines []string) {
	for _, c := range conflicts {
		lines = append(lines, c.String())
	}
	return lines
}

// describe fills in result and returns the documents of the archive.
func (p *Plan) describe(result *Result, blobs []archive.Blob, out Output) ([]archive.Member, error) {
	result.Layers = make([]BuiltLayer, len(blobs))
	for i, b := range blobs {
		result.Layers[i] = p.builtLayer(i, b, out.LayerCodec)
	}
	img, err := p.complete(result)
	if err != nil {
		return nil, err
	}
	return documents(image.Named{Image: img, References: append([]image.Reference{result.Reference}, out.References...)})
}

// builtLayer describes layer i, the root layer being the one behind p.Layers.
func (p *Plan) builtLayer(i int, b archive.Blob, c codec.Codec) BuiltLayer {
	l := BuiltLayer{Layer: image.Layer{DiffID: b.DiffID, Digest: b.Digest, Size: b.Size, MediaType: mediaType(c), Comment: "root layer"}}
	if i < len(p.Layers) {
		l.Paths = p.Layers[i].Paths()
		l.Comment = image.Comment(texts(l.Paths))
	}
	return l
}

func mediaType(c codec.Codec) string {
	switch c.Algorithm() {
	case "gzip":
		return image.LayerGzip
	case "zstd":
		return image.LayerZstd
	}
	return image.LayerTar
}

// complete fills in what follows from the layers of result.
func (p *Plan) complete(result *Result) (*image.Image, error) {
	img, err := p.image(result.Layers)
	if err != nil {
		return nil, err
	}
	result.Digest, result.ImageID = img.ManifestDescriptor.Digest, img.ConfigDescriptor.Digest
	result.Reference = p.spec.reference(img.Hash())
	return img, nil
}

// image makes the documents of the image that has these layers.
func (p *Plan) image(layers []BuiltLayer) (*image.Image, error) {
	o := image.Options{
		Platform:    p.spec.Platform,
		Created:     p.created,
		Config:      p.spec.Config,
		Labels:      p.spec.Labels,
		Annotations: p.spec.Annotations,
	}
	o.Platform.Architecture = p.spec.architecture()
	for i := range layers {
		o.Layers = append(o.Layers, layers[i].Layer)
	}
	return image.New(o)
}

// documents are the members of an archive that are not layers.
func documents(named image.Named) ([]archive.Member, error) {
	index, err := image.Index(named)
	if err != nil {
		return nil, err
	}
	docker, err := image.DockerManifest(named)
	if err != nil {
		return nil, err
	}
	img := named.Image
	return []archive.Member{
		{Name: image.BlobPath(img.ConfigDescriptor.Digest), Data: img.Config},
		{Name: image.BlobPath(img.ManifestDescriptor.Digest), Data: img.Manifest},
		{Name: image.IndexFile, Data: index},
		{Name: image.DockerManifestFile, Data: docker},
		{Name: image.LayoutFile, Data: image.Layout()},
	}, nil
}
