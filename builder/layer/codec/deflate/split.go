package deflate

import "math/bits"

// The data are cut into chunks. A chunk joins the block before it, or begins a new
// one; and it tells how to look for matches in the next one.
const (
	chunkTokens = 512     // the end of a chunk, and
	chunkBytes  = 1 << 13 // the bytes after which it ends at the latest
	maxTokens   = 1 << 14 // of a block and a chunk; they should stay in the cache
	blockCost   = 800     // bits: what a new block has to save, for its codes and the time to make them

	// Matches of 3 bytes pay if they are one in shortShare, or more. That is
	// seen only while looking for them: in wideMode, a chunk is scanned in
	// shortMode where a block begins, and every probeChunks in any case.
	shortShare  = 10
	probeChunks = 16
)

// A splitter decides where blocks end, and on modes.
type splitter struct {
	chunk      histogram
	chunkStart int
	block      histogram // of the chunks before chunk
	blockStart int
	blockBits  int // entropy of block
	tokens     int // number of those in block
	joint      histogram
	wide       int // chunks in wideMode since the last in shortMode
}

func (s *splitter) reset() {
	s.chunk = histogram{}
	s.chunkStart, s.blockStart, s.tokens, s.wide = 0, 0, 0, 0
}

// endChunk ends the chunk at e.pos.
func (e *Encoder) endChunk() {
	if e.run < e.pos {
		e.tokens[e.count&(maxTokens-1)] = literalRun(e.pos - e.run)
		e.count++
		e.run = e.pos
	}
	s, cost := &e.split, blockCost
	if e.mode == deepMode {
		cost = deepBlockCost
	}
	own, changed := s.chunk.entropy(), false
	if s.chunkStart == s.blockStart {
		s.block, s.blockBits = s.chunk, own
	} else {
		s.joint.sum(&s.block, &s.chunk)
		joint := s.joint.entropy()
		changed = joint > s.blockBits+own+cost
		if changed || e.count >= maxTokens-chunkTokens {
			e.writeBlock(s.chunkStart, false)
			s.block, s.blockBits = s.chunk, own
		} else {
			s.block, s.blockBits = s.joint, joint
		}
	}
	if e.mode != deepMode {
		e.mode = s.nextMode(e.mode, changed, own, e.pos-s.chunkStart)
	}
	s.chunk = histogram{}
	s.chunkStart, s.tokens = e.pos, e.count
}

// writeBlock writes the block, whose data end at end, and forgets its tokens.
func (e *Encoder) writeBlock(end int, last bool) {
	s := &e.split
	e.out.block(&s.block, e.tokens[:s.tokens], &e.data, s.blockStart, end, last)
	e.count = copy(e.tokens[:], e.tokens[s.tokens:e.count])
	s.blockStart = end
}

// nextMode returns how to look for matches after a chunk of size bytes with an
// entropy of cost bits; changed says whether its statistics differ from the block's.
func (s *splitter) nextMode(now mode, changed bool, cost, size int) mode {
	switch {
	case cost > 8*size-size/4:
		return noiseMode
	case now == wideMode:
		if s.wide++; changed || s.wide >= probeChunks {
			return shortMode
		}
		return wideMode
	}
	matches := uint32(0)
	for _, n := range s.chunk.literals[firstLength:] {
		matches += n
	}
	if s.chunk.literals[firstLength]*shortShare >= matches {
		return shortMode
	}
	s.wide = 0
	return wideMode
}

// entropy returns about how many bits the symbols of h take, without the codes and
// without the bits that follow symbols.
func (h *histogram) entropy() int {
	return (plogp(h.literals[:]) + plogp(h.offsets[:])) >> logBits
}

// plogp returns the entropy of counts, in units of 1<<logBits to a bit.
func plogp(counts []uint32) int {
	total, sum := uint32(0), uint64(0)
	for _, n := range counts {
		total += n
		if n < uint32(len(smallLogs)) {
			sum += uint64(smallLogs[n])
		} else {
			sum += nlog(n)
		}
	}
	return int(nlog(total) - sum)
}

// Logarithms to base 2 have logBits binary places. They are computed from
// integers, since floating point may differ between processors.
const logBits = 12

// nlog returns n times its logarithm, and 0 for 0.
func nlog(n uint32) uint64 {
	log := bits.Len32(n|1) - 1
	mantissa := n << (31 - log) >> (31 - 8) & 255
	return uint64(n) * (uint64(log)<<logBits + uint64(mantissaLogs[mantissa]))
}

// smallLogs has nlog of small numbers, which most are.
var smallLogs = func() (t [512]uint32) {
	for i := range t {
		t[i] = uint32(nlog(uint32(i)))
	}
	return t
}()

// mantissaLogs has the logarithms of 1 + i/256: squaring a number doubles its
// logarithm, whose binary places show one after the other. It is written so that
// Go 1.26 compiles it rightly for s390x, too.
var mantissaLogs = func() (t [256]uint16) {
	for i := range t {
		x, log := uint64(256+i)<<22, uint64(0) // x has 30 binary places
		for range logBits {
			x = x * x >> 30
			carry := x >> 31
			x >>= carry
			log = log<<1 | carry
		}
		t[i] = uint16(log)
	}
	return t
}()
