package builder

import (
	"sync"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/memo"
)

// contents are what the segments of a build hold, as far as it is known. All that is
// remembered of a segment says what was read when it was made, and nothing is taken of
// what was made of something else: a file may have been damaged then, so that
// neither its size nor its time shows it, and be repaired since.
type contents struct {
	mu  sync.Mutex
	was map[digest.Digest]layer.Sum // when the scaffolds were made
	is  map[digest.Digest]layer.Sum // what this build has read
}

// expect says what a segment was.
func (c *contents) expect(key digest.Digest, sum layer.Sum) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.was[key] = sum
}

// hold says what a segment is, and reports whether it is what it was.
func (c *contents) hold(key digest.Digest, sum layer.Sum) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is[key] = sum
	was, ok := c.was[key]
	return !ok || was == sum
}

// sum returns what is known of a segment.
func (c *contents) sum(key digest.Digest) (layer.Sum, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sum, ok := c.is[key]; ok {
		return sum, true
	}
	sum, ok := c.was[key]
	return sum, ok
}

// heldParts are the encoded parts in a memo that were made of what the segments were.
type heldParts struct {
	*memo.Memo
	held *contents
}

func (p *heldParts) Encoded(key digest.Digest, codec string) layer.EncodedParts {
	parts := p.Memo.Encoded(key, codec)
	if parts == nil {
		return nil
	}
	if sum, ok := p.held.sum(key); ok && sum != parts.Sum() {
		parts.Close()
		return nil
	}
	return parts
}
