package memo

import (
	"errors"
	"sync"
	"unique"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/store"
)

// scaffoldKind is the kind of scaffolds, for Memo.path.
const scaffoldKind = "scaffold"

// Scaffold returns the encoded scaffold of the segment with the given key, or nil,
// and the sum that the segment had when it was kept. An error of the disk counts as
// absence: the memo saves work and nothing else.
func (m *Memo) Scaffold(key digest.Digest) ([]byte, layer.Sum) {
	whole := func(b []byte) ([]byte, error) { return b, nil }
	b, sum := readChunk(m, m.path(scaffoldKind, key), "a scaffold", whole)
	m.ask(askedScaffolds, b != nil)
	return b, sum
}

// KeepScaffold keeps the scaffold of a store path, whose segment was read and has the
// given sum. The row that says so is written by the next Save.
func (m *Memo) KeepScaffold(key digest.Digest, path store.Path, s *layer.Scaffold, sum layer.Sum) error {
	size, err := writeChunk(m.path(scaffoldKind, key), s.Encode(), sum)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.addScaffold(key, path, s, size, sum)
	return nil
}

// FoundScaffold tells what the scaffold that Scaffold has returned says of a store
// path, so that its row can be written again should it be lost.
func (m *Memo) FoundScaffold(key digest.Digest, path store.Path, s *layer.Scaffold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found.addScaffold(key, path, s, 0, 0)
}

// foundEncoded is FoundScaffold for encoded parts, of n bytes.
func (m *Memo) foundEncoded(key digest.Digest, codec string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found.addParts(key, codec, n, 0, 0)
}

// kinds returns the kinds of files that a row speaks of. One that was found again
// has no lengths of them in Files.
func (s Segment) kinds() (kinds []string) {
	if s.Entries > 0 {
		kinds = append(kinds, scaffoldKind)
	}
	for _, form := range s.Encoded {
		kinds = append(kinds, encodedKind(form.Name))
	}
	return kinds
}

// open opens a file and marks it as used; ok is false if it cannot be had.
func (m *Memo) open(path, what string) (c *chunked, ok bool) {
	c, err := openChunked(path)
	if errors.Is(err, errDamaged) {
		m.drop(path, what, err)
	}
	if err != nil {
		return nil, false // an error of the disk is as good as absence
	}
	if info, err := c.f.Stat(); err == nil {
		m.touch(path, info)
	}
	return c, true
}

// encodedKind returns the kind of parts that a codec encoded; all rows share it.
func encodedKind(codec string) string { return unique.Make("encoded " + codec).Value() }

// Encoded returns the parts of a segment as a codec encoded them, or nil. It
// implements layer.Parts.
func (m *Memo) Encoded(key digest.Digest, codec string) layer.EncodedParts {
	path := m.path(encodedKind(codec), key)
	c, ok := m.open(path, "compressed parts")
	m.ask(askedParts, ok)
	if !ok {
		return nil
	}
	m.foundEncoded(key, codec, c.total)
	return &encoded{memo: m, path: path, chunks: c}
}

// encoded reads encoded parts. It may be used from several goroutines at once.
type encoded struct {
	memo    *Memo
	path    string
	chunks  *chunked
	dropped sync.Once
}

func (e *encoded) Append(dst []byte, i int) ([]byte, bool) {
	dst, err := e.chunks.append(dst, i)
	if err != nil {
		e.dropped.Do(func() { e.memo.drop(e.path, "compressed parts", err) })
		return dst, false
	}
	return dst, true
}

func (e *encoded) Sum() layer.Sum { return e.chunks.sum }

func (e *encoded) Len() int { return len(e.chunks.ends) }

func (e *encoded) Close() { e.chunks.close() }

// KeepEncoded returns a writer that keeps the encoded parts of a segment. It
// implements layer.Parts.
func (m *Memo) KeepEncoded(key digest.Digest, codec string) (layer.PartsWriter, error) {
	w, err := newChunkWriter(m.path(encodedKind(codec), key))
	if err != nil {
		return nil, err
	}
	return &partsWriter{memo: m, key: key, codec: codec, w: w}, nil
}

type partsWriter struct {
	memo  *Memo
	key   digest.Digest
	codec string
	w     *chunkWriter
}

func (p *partsWriter) Add(part []byte) error { return p.w.add(part) }

func (p *partsWriter) Commit(sum layer.Sum) error {
	if err := p.w.commit(sum); err != nil {
		return err
	}
	p.memo.mu.Lock()
	defer p.memo.mu.Unlock()
	p.memo.kept.addParts(p.key, p.codec, p.w.total, p.w.size, sum)
	return nil
}

func (p *partsWriter) Abort() { p.w.abort() }
