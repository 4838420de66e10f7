package layer

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
	"terrine/store"
)

// Parts keeps the encoded parts of segments from one build to the next.
type Parts interface {
	// Encoded returns what is kept of a segment, by its key and the ID of the
	// codec, or nil.
	Encoded(key digest.Digest, codec string) EncodedParts
	// KeepEncoded begins to keep the parts of a segment.
	KeepEncoded(key digest.Digest, codec string) (PartsWriter, error)
}

// A Sum stands for what was read of a segment, to tell whether it was the same at
// another time. It finds what has changed by accident, and no forgery.
type Sum uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sumOf(b []byte) Sum { return Sum(crc32.Checksum(b, castagnoli)) }

// And returns the sum of what s is of and, behind it, what t is of, if they were
// divided in the same way.
func (s Sum) And(t Sum) Sum {
	b := binary.LittleEndian.AppendUint32(nil, uint32(t))
	return Sum(crc32.Update(uint32(s), castagnoli, b))
}

// EncodedParts are the encoded parts of one segment. They are read by several
// goroutines at once, and closed by one when none reads any more.
type EncodedParts interface {
	// Sum returns the sum of what was encoded.
	Sum() Sum
	// Len returns how many parts there are.
	Len() int
	// Append appends part i to dst. ok is false if it is damaged; dst is then as
	// it was.
	Append(dst []byte, i int) (_ []byte, ok bool)
	Close()
}

// PartsWriter takes the encoded parts of a segment in order. Nothing is kept
// before Commit, and nothing of one that fails. Whoever does not commit aborts. It
// serves one goroutine at a time.
type PartsWriter interface {
	Add(part []byte) error
	Commit(sum Sum) error // of what was encoded
	Abort()
}

// A segmentRun is a segment on its way through a pipeline.
type segmentRun struct {
	segment segment
	parts   int // number of its parts

	open sync.Once
	kept EncodedParts // nil if nothing is kept

	// For the goroutine that finishes tasks.
	writer PartsWriter
	check  *narCheck
	sum    Sum // of the parts so far
	summed int // how many parts were summed up
}

// hold sums up the parts of a segment, which come in order, and has held say whether
// it may have that sum.
func (t *task) hold(held func(digest.Digest, Sum) bool) error {
	s, ok := t.run.segment.(*objectSegment)
	if !ok || !t.summed {
		return nil
	}
	t.run.sum = t.run.sum.And(t.sum)
	t.run.summed++
	if t.run.summed < t.run.parts || held == nil || held(s.key(), t.run.sum) {
		return nil
	}
	return &KeptError{s.key(), s.object.Path}
}

// verify checks the parts of a segment, which come in order, against the NAR hash
// of its object.
func (t *task) verify(ctx context.Context) error {
	s, ok := t.run.segment.(*objectSegment)
	if !ok {
		return nil
	}
	if t.run.check == nil {
		t.run.check = newNARCheck(ctx, s)
	}
	if err := t.run.check.write(t.raw); err != nil || t.index < t.run.parts-1 {
		return err
	}
	return t.run.check.end()
}

// partsCache uses Parts for one codec. The zero value keeps nothing. Errors of
// keeping are no errors of a build: the first ends keeping, and is told.
type partsCache struct {
	parts Parts
	codec codec.Codec
	warn  func(error)

	// For the goroutine that finishes tasks.
	ended   bool
	current *segmentRun // the last one told of

	mu   sync.Mutex
	open map[*segmentRun]bool // those with kept parts
}

// encoded returns part t as it was kept, appended to dst.
func (c *partsCache) encoded(dst []byte, t *task) ([]byte, bool) {
	s, ok := t.run.segment.(*objectSegment)
	if c.parts == nil || !ok {
		return dst, false
	}
	t.run.open.Do(func() {
		kept := c.parts.Encoded(s.key(), c.codec.ID())
		if kept != nil && kept.Len() != t.run.parts {
			kept.Close()
			kept = nil
		}
		if t.run.kept = kept; kept != nil {
			c.mark(t.run, true)
		}
	})
	if t.run.kept == nil {
		return dst, false
	}
	return t.run.kept.Append(dst, t.index)
}

// A KeptError says that what is kept of a segment was made of other bytes than
// the store has: one of both is damaged.
type KeptError struct {
	Key  digest.Digest // of the segment, as SegmentKey has it
	Path store.Path
}

func (e *KeptError) Error() string {
	return fmt.Sprintf("read %s: what is kept of it was made of other bytes", e.Path)
}

// check compares part t as it was kept with what was read of it.
func (c *partsCache) check(t *task) error {
	if c.codec.Holds(t.coded, t.raw) {
		return nil
	}
	s := t.run.segment.(*objectSegment) // of others nothing is kept
	return &KeptError{s.key(), s.object.Path}
}

// keep keeps part t, if its segment is not kept already. Tasks come in order.
func (c *partsCache) keep(t *task) {
	last := t.index == t.run.parts-1
	c.current = t.run
	s, ok := t.run.segment.(*objectSegment)
	switch {
	case c.parts == nil || !ok:
		return
	case t.run.kept != nil:
		if last {
			c.mark(t.run, false)
		}
		return
	case c.ended:
		return
	}
	if err := c.add(t, s, last); err != nil {
		c.ended = true
		if t.run.writer != nil {
			t.run.writer.Abort()
			t.run.writer = nil
		}
		c.warn(err)
	}
}

// mark notes that the kept parts of r are in use, or closes them.
func (c *partsCache) mark(r *segmentRun, inUse bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*segmentRun]bool{}
	}
	if inUse {
		c.open[r] = true
	} else if c.open[r] {
		delete(c.open, r)
		r.kept.Close()
	}
}

// close lets go of what an error left open. No goroutine may use c any more.
func (c *partsCache) close() {
	if c.current != nil && c.current.writer != nil {
		c.current.writer.Abort()
	}
	for r := range c.open {
		r.kept.Close()
	}
}

func (c *partsCache) add(t *task, s *objectSegment, last bool) (err error) {
	if t.index == 0 {
		if t.run.writer, err = c.parts.KeepEncoded(s.key(), c.codec.ID()); err != nil {
			t.run.writer = nil
			return err
		}
	}
	if err := t.run.writer.Add(t.coded); err != nil || !last {
		return err
	}
	err = t.run.writer.Commit(t.run.sum)
	t.run.writer = nil
	return err
}
