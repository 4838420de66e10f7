package layer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
	"terrine/builder/layer/sha256x2"
)

// A Packer makes the bytes of layers. Its methods read each file once, keep at
// most a few parts in memory for each worker, and return with ctx's error soon
// after it is done. They may be called concurrently, and leave no goroutine
// behind.
type Packer struct {
	// Workers is how many goroutines read, hash and compress; 0 is 1. It has no
	// influence on the bytes.
	Workers int
	// Progress is told of bytes of uncompressed tar as they are done, from
	// several goroutines at once; nil for none.
	Progress func(n int64)
	// Parts keeps encoded parts for the next build; nil for none.
	Parts Parts
	// Verify makes the NAR hash of every store object out of what is read anyway,
	// and fails, naming it, for one that has another. Every part is then read,
	// whatever is known, and encoded anew.
	Verify bool
	// Trust saves the look at each file's size and time before and after it is
	// read: a file that changes meanwhile then gives a wrong image.
	Trust bool
	// Held is told the sum of a segment that was read, by its key, and reports whether
	// it may have that; nil for any. One that it may not have is a KeptError. It may be
	// called by several goroutines at once.
	Held func(key digest.Digest, sum Sum) bool
	// Warn is told, once, that parts cannot be kept; nil for nobody.
	Warn func(error)

	mu       sync.Mutex
	codec    codec.Codec // of the encoders
	encoders *codec.Encoders
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

// scatter works on as many layers at once as there are workers, or twice that, and
// calls put for each part before it is hashed.
func (p *Packer) scatter(ctx context.Context, layers []*Layer, put func(*task) error) ([]digest.Digest, error) {
	s := &scatter{packer: p, diffIDs: make([]digest.Digest, len(layers)), hashes: make([]hash.Hash, len(layers))}
	lines := make([]*line, len(layers))
	for i, l := range layers {
		s.diffIDs[i] = l.DiffID
		if l.DiffID == "" {
			s.hashes[i] = sha256.New()
		}
		lines[i] = &line{next: l.tasks(i), size: l.Size}
	}
	// Large ones first: they are then hashed beside others of their size, and none
	// is left over in the end for one worker to work on alone.
	slices.SortStableFunc(lines, func(a, b *line) int { return cmp.Compare(b.size, a.size) })
	err := p.run(ctx, &pipeline{
		lines: lines,
		prepare: func(_ context.Context, w *worker, t *task) error {
			if err := render(w, t, p.sums(layers[t.layer])); err != nil {
				return err
			}
			return put(t)
		},
		finish: func(t, u *task) error { return s.finish(ctx, t, u) },
	})
	return s.diffIDs, err
}

// A scatter is what becomes of the DiffIDs of layers that are packed at once.
type scatter struct {
	packer  *Packer
	diffIDs []digest.Digest
	hashes  []hash.Hash // nil for a layer whose DiffID is known
}

// finish hashes t, and u if it is not nil.
func (s *scatter) finish(ctx context.Context, t, u *task) error {
	if err := s.check(ctx, t); err != nil {
		return err
	}
	if u == nil {
		s.write(t)
		return nil
	}
	if err := s.check(ctx, u); err != nil {
		return err
	}
	if a, b := s.hashes[t.layer], s.hashes[u.layer]; a != nil && b != nil {
		sha256x2.Write2(a, t.raw, b, u.raw)
		s.end(t)
		s.end(u)
		return nil
	}
	s.write(t)
	s.write(u)
	return nil
}

func (s *scatter) check(ctx context.Context, t *task) error {
	s.packer.report(t)
	if s.packer.Verify {
		if err := t.verify(ctx); err != nil {
			return err
		}
	}
	return t.hold(s.packer.Held)
}

func (s *scatter) write(t *task) {
	if h := s.hashes[t.layer]; h != nil {
		h.Write(t.raw)
		s.end(t)
	}
}

func (s *scatter) end(t *task) {
	if t.last {
		s.diffIDs[t.layer] = digest.NewDigest(digest.SHA256, s.hashes[t.layer])
	}
}

// sums reports whether segments of l are summed up when they are read. Beside a hash
// or an encoder it costs little; where there is none, time.
func (p *Packer) sums(l *Layer) bool {
	return p.Held != nil && (l.DiffID == "" || l.objects.policy.ContentDedup || p.Verify)
}

// render reads t, and sums up what it reads.
func render(w *worker, t *task, sum bool) (err error) {
	if cap(t.raw) == 0 {
		t.raw = make([]byte, 0, partSize)
	}
	t.raw, err = t.run.segment.render(t.raw, &w.reader, t.part)
	if err == nil && len(t.raw) != t.part.size {
		err = fmt.Errorf("render part: %d bytes instead of %d: %w", len(t.raw), t.part.size, errScaffold)
	}
	if t.summed = sum && err == nil; t.summed {
		t.sum = sumOf(t.raw)
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

// run has the workers of p run a pipeline.
func (p *Packer) run(ctx context.Context, tasks *pipeline) error {
	var roots roots
	defer roots.close()
	tasks.workers = max(1, p.Workers)
	return tasks.run(ctx, func() *worker {
		return &worker{reader: reader{roots: &roots, trust: p.Trust, ctx: ctx}}
	})
}

// Encode appends to dst one member or frame of c for part, as codec.Encoders does,
// by an encoder that streams of p use too: they are large. It waits for one if need be.
func (p *Packer) Encode(ctx context.Context, c codec.Codec, dst, part []byte) ([]byte, error) {
	return p.encodersOf(c).Encode(ctx, dst, part)
}

// encodersOf returns the encoders of c. There is one codec at a time: encoders
// of the one before are let go.
func (p *Packer) encodersOf(c codec.Codec) *codec.Encoders {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.encoders == nil || p.codec != c {
		p.encoders, p.codec = c.NewEncoders(p.Workers), c
	}
	return p.encoders
}
