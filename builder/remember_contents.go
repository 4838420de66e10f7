package builder

import (
	"crypto/sha256"
	"encoding/hex"
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
	all map[segmentID]content
}

// A segmentID is the first half of the key of a segment. There are as many as paths, and
// texts would take five times the memory.
type segmentID [sha256.Size / 2]byte

func idOf(key digest.Digest) (id segmentID) {
	if _, err := hex.Decode(id[:], []byte(key.Encoded()[:2*len(id)])); err != nil {
		panic(err) // it is a digest
	}
	return id
}

// A content is what is known of a segment.
type content struct {
	was, is     layer.Sum // when the scaffold was made, and what this build has read
	knew, knows bool      // whether these are known
}

func newContents() *contents { return &contents{all: map[segmentID]content{}} }

// expect says what a segment was.
func (c *contents) expect(key digest.Digest, sum layer.Sum) {
	id := idOf(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.all[id]
	known.was, known.knew = sum, true
	c.all[id] = known
}

// hold says what a segment is, and reports whether it is what it was.
func (c *contents) hold(key digest.Digest, sum layer.Sum) bool {
	id := idOf(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.all[id]
	known.is, known.knows = sum, true
	c.all[id] = known
	return !known.knew || known.was == sum
}

// sum returns what is known of a segment.
func (c *contents) sum(key digest.Digest) (layer.Sum, bool) {
	id := idOf(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.all[id]
	if known.knows {
		return known.is, true
	}
	return known.was, known.knew
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
