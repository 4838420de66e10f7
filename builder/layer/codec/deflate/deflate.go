// Package deflate is an encoder of raw deflate streams (RFC 1951) for data of at
// most a megabyte that lie in memory whole.
//
// It is made for one point on the curve of size against speed: a seventh of the
// time of zlib's level 6 for 3 to 6 % more output, on programs, libraries and
// their sources. There is no level to choose. What it does to get there:
//
//   - It looks up matches by two hashes of the bytes ahead, a long and a short
//     one, and knows only the last position of each. One of the two is of 3
//     bytes where that pays: tables in programs are full of matches so short.
//   - A match gives way to a longer one at the next byte.
//   - Inside of matches it notes only some positions, and it passes quickly over
//     data that do not compress.
//   - Blocks end where the statistics of the data change.
//   - Small data, and text that is not large, are worth more effort: all positions of
//     the window are known, and many are compared. What is said of time above is not
//     true of them; they take twice as long.
//   - Branches that a processor cannot foresee are what costs most, so there are few.
//
// A stream is a function of the data alone: nothing is carried over from one call
// to the next, and there is no floating point. It is the same on every machine.
package deflate

import (
	"encoding/binary"
	"math/bits"
)

// Version names the streams that an Encoder makes. Whoever changes the stream of any
// data changes it.
const Version = "4"

// MaxSize is the size, in bytes, of the largest data that can be encoded.
const MaxSize = 1 << 20

const (
	windowSize = 1 << 15 // the largest distance of a match
	minMatch   = 3
	maxMatch   = 258

	// margin is the number of bytes at the end of the data where no match
	// begins, so that whole words can be compared before it.
	margin = 12
)

// An Encoder encodes data. The zero value is ready for use. It is not safe for
// concurrent use. It takes 2.4 MiB, of which it touches little more than the
// size of the data, and allocates nothing but room in what it appends to.
type Encoder struct {
	data   buffer
	size   int // of the data, in bytes
	tables tables
	chains chains           // instead of tables, for small data
	tokens [maxTokens]token // of the block, then of the chunk
	count  int              // of tokens
	pos    int              // before it, all is in tokens or in the run of literals
	run    int              // where the literals begin that wait for their token
	mode   mode
	split  splitter
	out    writer
}

// Encode appends a deflate stream of data to dst and returns the extended slice.
// It may use the capacity of dst beyond that. It keeps neither. More than MaxSize
// bytes are a mistake of the caller, and panic.
func (e *Encoder) Encode(dst, data []byte) []byte {
	if len(data) > MaxSize {
		panic("deflate: more data than MaxSize")
	}
	copy(e.data[:], data)
	clear(e.data[len(data) : len(data)+8])
	e.size, e.pos, e.run, e.count, e.mode = len(data), 0, 0, 0, shortMode
	e.split.reset()
	if isSmall(data) {
		e.mode = deepMode
		e.chains.reset()
	} else {
		e.tables.reset()
		e.split.chunk.literals[data[0]]++ // nothing is behind it
		e.pos = 1
	}
	e.out.reset(dst)
	e.tokenise()
	e.writeBlock(e.size, true)
	return e.out.finish()
}

// tokenise turns the data into tokens, chunk by chunk, and writes all blocks but
// the last.
func (e *Encoder) tokenise() {
	for end := e.size - margin; e.pos < end; {
		limit := min(end, e.split.chunkStart+chunkBytes)
		switch e.mode {
		case shortMode:
			e.scanShort(limit)
		case wideMode:
			e.scanWide(limit)
		case deepMode:
			e.scanDeep(limit)
		case noiseMode:
			if e.scanNoise(limit) {
				e.scanShort(limit)
			}
		}
		if e.pos < end {
			e.endChunk()
		}
	}
	for ; e.pos < e.size; e.pos++ {
		e.split.chunk.literals[e.data[e.pos]]++
	}
	e.endChunk()
}

// A buffer holds the data. Its size is a power of two, so that a masked index is
// a valid one, and so large that what would lie before the data is not in them.
type buffer [2*MaxSize + 8]byte

const bufferMask = 2*MaxSize - 1

// load returns the 8 bytes at pos, the first one lowest.
func (b *buffer) load(pos int) uint64 {
	return binary.LittleEndian.Uint64(b[pos&bufferMask:])
}

// extend returns for how many bytes, up to limit, the data at pos equal those at
// a distance before, of which n are known to.
func (b *buffer) extend(pos, distance, n, limit int) int {
	for n+8 <= limit {
		if diff := b.load(pos+n) ^ b.load(pos+n-distance); diff != 0 {
			return n + equalBytes(diff)
		}
		n += 8
	}
	for n < limit && b[(pos+n)&bufferMask] == b[(pos+n-distance)&bufferMask] {
		n++
	}
	return n
}

// equalBytes returns how many of the first of 8 bytes are equal, by their difference.
func equalBytes(diff uint64) int { return bits.TrailingZeros64(diff) >> 3 }
