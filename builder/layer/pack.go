package layer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
)

// A Packer makes the bytes of layers. Its methods read each file once, keep at
// most a few parts in memory for each worker, and return with ctx's error soon
// after it is done. They may be called concurrently, and leave no goroutine
// behind.
type Packer struct {
	// Workers is how many goroutines read, hash and compress; at least 1. It
	// has no influence on the bytes.
	Workers int
	// Progress is told of bytes of uncompressed tar as they are done, from
	// several goroutines at once; nil for none.
	Progress func(n int64)
}

// Hash returns the DiffIDs of layers, the digests of their uncompressed tars.
func (p *Packer) Hash(ctx context.Context, layers []*Layer) ([]digest.Digest, error) {
	return p.scatter(ctx, layers, func(*task) error { return nil })
}

// WriteAt writes layers to w, layer i at offsets[i], in no particular order and
// from several goroutines at once, and returns their DiffIDs.
func (p *Packer) WriteAt(ctx context.Context, w io.WriterAt, layers []*Layer, offsets []int64) ([]digest.Digest, error) {
	return p.scatter(ctx, layers, func(t *task) error {
		_, err := w.WriteAt(t.raw, offsets[t.layer]+t.offset)
		return err
	})
}

// scatter works on as many layers at once as there are workers, and calls put
// for each part before it is hashed.
func (p *Packer) scatter(ctx context.Context, layers []*Layer, put func(*task) error) ([]digest.Digest, error) {
	diffIDs := make([]digest.Digest, len(layers))
	hashes := make([]hash.Hash, len(layers))
	lines := make([]*line, len(layers))
	for i, l := range layers {
		hashes[i] = sha256.New()
		lines[i] = &line{next: l.tasks(i)}
	}
	err := p.run(ctx, &pipeline{
		lines: lines,
		prepare: func(w *worker, t *task) error {
			if err := render(w, t); err != nil {
				return err
			}
			return put(t)
		},
		finish: func(t *task) error {
			hashes[t.layer].Write(t.raw)
			if t.last {
				diffIDs[t.layer] = digest.NewDigest(digest.SHA256, hashes[t.layer])
			}
			p.report(t)
			return nil
		},
	}, codec.None())
	return diffIDs, err
}

// A Blob is a layer as it is stored or sent.
type Blob struct {
	DiffID digest.Digest // sha256 of the uncompressed tar
	Digest digest.Digest // sha256 of the bytes written
	Size   int64         // number of bytes written
}

// Stream encodes layers by c and writes them in order. begin is called before
// the first byte of each, with its index, and returns where its bytes go. The
// bytes of a blob depend on its layer and c alone.
func (p *Packer) Stream(ctx context.Context, layers []*Layer, c codec.Codec, begin func(index int) (io.Writer, error)) ([]Blob, error) {
	s := &stream{blobs: make([]Blob, len(layers)), current: -1, begin: begin, raw: sha256.New(), coded: sha256.New(), plain: c == codec.None()}
	err := p.run(ctx, &pipeline{
		lines: []*line{{next: chain(layers)}},
		prepare: func(w *worker, t *task) error {
			if err := render(w, t); err != nil || s.plain {
				return err
			}
			var err error
			t.coded, err = w.encoder.Encode(t.coded, t.raw)
			return err
		},
		finish: func(t *task) error {
			p.report(t)
			return s.write(t)
		},
	}, c)
	return s.blobs, err
}

// A stream is the end of a pipeline that writes layers one after the other.
type stream struct {
	blobs      []Blob
	current    int
	begin      func(int) (io.Writer, error)
	out        io.Writer
	raw, coded hash.Hash
	plain      bool // coded is raw
}

func (s *stream) write(t *task) error {
	if t.layer != s.current {
		s.current = t.layer
		s.raw.Reset()
		s.coded.Reset()
		var err error
		if s.out, err = s.begin(t.layer); err != nil {
			return err
		}
	}
	s.raw.Write(t.raw)
	b := t.raw
	if !s.plain {
		b = t.coded
		s.coded.Write(b)
	}
	if _, err := s.out.Write(b); err != nil {
		return err
	}
	blob := &s.blobs[t.layer]
	blob.Size += int64(len(b))
	if t.last {
		blob.DiffID = digest.NewDigest(digest.SHA256, s.raw)
		blob.Digest = blob.DiffID
		if !s.plain {
			blob.Digest = digest.NewDigest(digest.SHA256, s.coded)
		}
	}
	return nil
}

// chain returns the tasks of all layers, one layer after the other.
func chain(layers []*Layer) func() (task, bool) {
	var next func() (task, bool)
	index := 0
	return func() (task, bool) {
		for {
			if next != nil {
				if t, ok := next(); ok {
					return t, true
				}
			}
			if index == len(layers) {
				return task{}, false
			}
			next = layers[index].tasks(index)
			index++
		}
	}
}

func render(w *worker, t *task) (err error) {
	t.raw, err = t.segment.render(t.raw, &w.reader, t.part)
	if err == nil && len(t.raw) != t.part.size {
		err = fmt.Errorf("render part: %d bytes instead of %d: %w", len(t.raw), t.part.size, errScaffold)
	}
	return err
}

func (p *Packer) report(t *task) {
	if p.Progress != nil {
		p.Progress(int64(t.part.size))
	}
}

func (p *Packer) run(ctx context.Context, line *pipeline, c codec.Codec) error {
	var roots roots
	defer roots.close()
	stamps := &stamps{}
	line.workers = max(1, p.Workers)
	return line.run(ctx, func() (*worker, error) {
		w := &worker{reader: reader{roots: &roots, stamps: stamps}}
		if c == codec.None() {
			return w, nil
		}
		var err error
		w.encoder, err = c.NewEncoder()
		return w, err
	})
}
