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
	// Parts keeps encoded parts for the next build; nil for none.
	Parts Parts
	// Verify makes the NAR hash of every store object out of what is read anyway,
	// and fails, naming it, for one that has another. Every part is then read,
	// whatever is known.
	Verify bool
	// Trust saves the look at each file's size and time before and after it is
	// read: a file that changes meanwhile then gives a wrong image.
	Trust bool
	// Warn is told, once, that parts cannot be kept; nil for nobody.
	Warn func(error)
}

// Hash returns the DiffIDs of layers, the digests of their uncompressed tars.
func (p *Packer) Hash(ctx context.Context, layers []*Layer) ([]digest.Digest, error) {
	diffIDs := make([]digest.Digest, len(layers))
	var unknown []*Layer
	var places []int
	for i, l := range layers {
		if diffIDs[i] = l.DiffID; l.DiffID == "" || p.Verify {
			unknown, places = append(unknown, l), append(places, i)
		}
	}
	found, err := p.scatter(ctx, unknown, func(*task) error { return nil })
	for j, i := range places {
		diffIDs[i] = found[j]
	}
	return diffIDs, err
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
		diffIDs[i] = l.DiffID
		if l.DiffID == "" {
			hashes[i] = sha256.New()
		}
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
			p.report(t)
			if p.Verify {
				if err := t.verify(); err != nil {
					return err
				}
			}
			if hashes[t.layer] == nil {
				return nil
			}
			hashes[t.layer].Write(t.raw)
			if t.last {
				diffIDs[t.layer] = digest.NewDigest(digest.SHA256, hashes[t.layer])
			}
			return nil
		},
	}, codec.None())
	return diffIDs, err
}

func render(w *worker, t *task) (err error) {
	t.raw, err = t.run.segment.render(t.raw, &w.reader, t.part)
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

func (p *Packer) warn(err error) {
	if p.Warn != nil {
		p.Warn(err)
	}
}

func (p *Packer) run(ctx context.Context, line *pipeline, c codec.Codec) error {
	var roots roots
	defer roots.close()
	line.workers = max(1, p.Workers)
	return line.run(ctx, func() (*worker, error) {
		w := &worker{reader: reader{roots: &roots, trust: p.Trust}}
		if c == codec.None() {
			return w, nil
		}
		var err error
		w.encoder, err = c.NewEncoder()
		return w, err
	})
}
