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
// the layer's DiffID has to be found out.
func (p *Packer) Stream(ctx context.Context, layers []*Layer, c codec.Codec, begin func(index int) (io.Writer, error)) ([]digest.Digest, error) {
	s := &stream{
		layers:  layers,
		diffIDs: make([]digest.Digest, len(layers)),
		current: -1,
		begin:   begin,
		hash:    sha256.New(),
		plain:   c == codec.None(),
		report:  p.report,
		verify:  p.Verify,
	}
	if !s.plain {
		s.cache.parts, s.cache.codec, s.cache.warn = p.Parts, c.ID(), p.warn
	}
	defer s.cache.close()
	err := p.run(ctx, &pipeline{
		lines:   []*line{{next: chain(layers)}},
		prepare: s.prepare,
		finish:  s.finish,
	}, c)
	return s.diffIDs, err
}

// A stream is the two ends of a pipeline that writes layers one after the
// other.
type stream struct {
	layers  []*Layer
	diffIDs []digest.Digest
	begin   func(int) (io.Writer, error)
	report  func(*task)
	plain   bool // nothing is encoded
	verify  bool // against NAR hashes
	cache   partsCache

	current int // index of the layer being written
	out     io.Writer
	hash    hash.Hash
}

func (s *stream) prepare(w *worker, t *task) (err error) {
	if s.plain {
		return render(w, t)
	}
	var kept bool
	t.coded, kept = s.cache.encoded(t.coded, t)
	if kept && s.layers[t.layer].DiffID != "" && !s.verify {
		return nil
	}
	if err := render(w, t); err != nil || kept {
		return err
	}
	t.coded, err = w.encoder.Encode(t.coded, t.raw)
	return err
}

func (s *stream) finish(t *task) (err error) {
	s.report(t)
	if s.verify {
		if err := t.verify(); err != nil {
			return err
		}
	}
	if t.layer != s.current {
		s.current = t.layer
		s.hash.Reset()
		s.diffIDs[t.layer] = s.layers[t.layer].DiffID
		if s.out, err = s.begin(t.layer); err != nil {
			return err
		}
	}
	if s.layers[t.layer].DiffID == "" {
		s.hash.Write(t.raw)
		if t.last {
			s.diffIDs[t.layer] = digest.NewDigest(digest.SHA256, s.hash)
		}
	}
	b := t.raw
	if !s.plain {
		b = t.coded
		s.cache.keep(t)
	}
	_, err = s.out.Write(b)
	return err
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
