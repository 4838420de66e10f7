package layer

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
)

// Stream encodes layers by c and writes them in order, and returns their
// DiffIDs. begin is called before the first byte of each, with its index, and
// returns where its bytes go. What is written for a layer depends on the layer
// and c alone.
//
// A part that p.Parts has kept is not encoded again, and not even read unless
// the layer's DiffID has to be found out. What is read then and is not what was
// encoded is a KeptError.
func (p *Packer) Stream(ctx context.Context, layers []*Layer, c codec.Codec, begin func(index int) (io.Writer, error)) ([]digest.Digest, error) {
	s := p.newStream(layers, c)
	var out io.Writer
	s.begin = func(i int) (err error) {
		out, err = begin(i)
		return err
	}
	s.put = func(_ *task, b []byte) error {
		_, err := out.Write(b)
		return err
	}
	return s.run(ctx, nil)
}

// A Placer takes bytes in any order, having said in order where they go.
type Placer interface {
	// Place keeps room for n bytes behind all that it was asked for before, and
	// returns where it begins. It is called by one goroutine at a time.
	Place(n int) int64
	io.WriterAt
}

// StreamAt does what Stream does into one w, in which the workers write while
// others go on. begin may use w too.
func (p *Packer) StreamAt(ctx context.Context, layers []*Layer, c codec.Codec, w Placer, begin func(index int) error) ([]digest.Digest, error) {
	s := p.newStream(layers, c)
	s.begin = begin
	s.put = func(t *task, b []byte) error {
		t.place = w.Place(len(b))
		return nil
	}
	return s.run(ctx, func(t *task) error {
		_, err := w.WriteAt(s.bytes(t), t.place)
		return err
	})
}

func (p *Packer) newStream(layers []*Layer, c codec.Codec) *stream {
	s := &stream{
		packer:  p,
		layers:  layers,
		diffIDs: make([]digest.Digest, len(layers)),
		current: -1,
		hash:    sha256.New(),
		plain:   c == codec.None(),
	}
	if !s.plain {
		s.encoders = p.encodersOf(c)
		s.cache.parts, s.cache.codec, s.cache.warn = p.Parts, c, p.warn
	}
	return s
}

func (s *stream) run(ctx context.Context, settle func(*task) error) ([]digest.Digest, error) {
	defer s.cache.close()
	err := s.packer.run(ctx, &pipeline{
		lines:   []*line{{next: chain(s.layers)}},
		prepare: s.prepare,
		finish:  func(t, _ *task) error { return s.finish(ctx, t) }, // there is one line
		settle:  settle,
	})
	return s.diffIDs, err
}

// A stream is the two ends of a pipeline that writes layers one after the
// other.
type stream struct {
	packer  *Packer
	layers  []*Layer
	diffIDs []digest.Digest
	begin   func(int) error
	put     func(t *task, b []byte) error
	plain   bool // nothing is encoded
	cache   partsCache

	encoders *codec.Encoders

	current int // index of the layer being written
	hash    hash.Hash
}

func (s *stream) prepare(ctx context.Context, w *worker, t *task) (err error) {
	if s.plain {
		return render(w, t, s.packer.sums(s.layers[t.layer]))
	}
	if cap(t.coded) == 0 {
		t.coded = make([]byte, 0, codedSize)
	}
	var kept bool
	if !s.packer.Verify { // what is kept may be of files that nobody has verified
		t.coded, kept = s.cache.encoded(t.coded, t)
	}
	if kept && s.layers[t.layer].DiffID != "" {
		return nil
	}
	if err := render(w, t, true); err != nil {
		return err
	}
	if kept {
		return s.cache.check(t)
	}
	t.coded, err = s.encoders.Encode(ctx, t.coded, t.raw)
	return err
}

func (s *stream) finish(ctx context.Context, t *task) error {
	s.packer.report(t)
	if s.packer.Verify || s.unattested(t) {
		if err := t.verify(ctx); err != nil {
			return err
		}
	}
	if err := t.hold(s.packer.Held); err != nil {
		return err
	}
	if t.layer != s.current {
		s.current = t.layer
		s.hash.Reset()
		s.diffIDs[t.layer] = s.layers[t.layer].DiffID
		if err := s.begin(t.layer); err != nil {
			return err
		}
	}
	if s.layers[t.layer].DiffID == "" {
		s.hash.Write(t.raw)
		if t.last {
			s.diffIDs[t.layer] = digest.NewDigest(digest.SHA256, s.hash)
		}
	}
	if !s.plain {
		s.cache.keep(t)
	}
	return s.put(t, s.bytes(t))
}

// unattested reports whether nothing else says that what is encoded of t is what
// the layer's known DiffID is of. It would be kept for builds to come, and
// damage would outlast its repair. Beside encoding, a hash costs little.
func (s *stream) unattested(t *task) bool {
	return !s.plain && !s.packer.Trust && s.layers[t.layer].DiffID != "" && t.run.kept == nil
}

// codedSize is room for a part that does not get smaller by encoding.
const codedSize = partSize + partSize/64

// bytes returns what is written of a task.
func (s *stream) bytes(t *task) []byte {
	if s.plain {
		return t.raw
	}
	return t.coded
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
