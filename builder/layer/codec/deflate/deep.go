package deflate

import "math/bits"

// Small data are searched for longer: what they could refer to in a stream of
// many, and the codes that they could share with it, they do not have. They are few
// bytes of most images, so it is their size that counts, and not the time.
const (
	smallSize = 64 << 10

	// Text is searched as long up to smallText. It is data of which less than one
	// byte in textShare has the highest bit set. What programs consist of takes
	// twice the time, and there is more of it.
	smallText = 192 << 10
	textShare = 16

	deepDepth       = 16 // positions that are compared, and
	deepNice        = 64 // the length of a match after which none is
	deepChunkTokens = 256
	deepBlockCost   = 500 // see blockCost

	// A match is worth lengthGain bits more for each byte, and one less for each
	// bit of its distance. It has to be worth oneGain more than the one before it
	// if it begins one byte later, twoGain if two.
	lengthGain = 4
	oneGain    = 1
	twoGain    = 3
)

// isSmall returns whether data are searched for long.
func isSmall(data []byte) bool {
	if len(data) <= smallSize || len(data) > smallText {
		return len(data) <= smallSize
	}
	high := 0
	for _, b := range data {
		high += int(b >> 7)
	}
	return high < len(data)/textShare
}

// chains know all positions of the window: the last one of each hash, and for each
// position the one before it of the same hash. They keep what tables keep.
type chains struct {
	four   [1 << 13]uint16
	three  [1 << 11]uint16
	before [windowSize]uint16
	noted  int // all positions before it are
}

func (c *chains) reset() {
	clear(c.four[:])
	clear(c.three[:])
	c.noted = 0 // what before has of other data is not come upon
}

func chainHash4(x uint64) uint32 { return uint32(x) * 0x9E3779B1 >> (32 - 13) }
func chainHash3(x uint64) uint32 { return uint32(x<<8) * 0x9E3779B1 >> (32 - 11) }

// note notes the next position, where x is, and returns the last ones of its hashes.
func (c *chains) note(pos int, x uint64) (four, three uint16) {
	h4, h3 := chainHash4(x), chainHash3(x)
	four, three = c.four[h4], c.three[h3]
	c.before[pos&(windowSize-1)] = four
	c.four[h4], c.three[h3] = uint16(pos), uint16(pos)
	c.noted = pos + 1
	return four, three
}

// A match has a length, and a distance less one.
type match struct{ length, distance int }

// longest returns the longest match at pos, where x is, that is longer than
// length; if there is none, its length is 0. It compares up to depth positions,
// from entry on.
func (e *Encoder) longest(pos int, x uint64, entry uint16, length, depth int) (found match) {
	data, limit := &e.data, min(maxMatch, e.size-pos)
	for last := -1; depth > 0; depth-- {
		d := distance(pos, entry)
		if d <= last || d >= pos { // out of the window, or before the data
			break
		}
		last = d
		at := pos - 1 - d
		if uint32(data.load(at+length-3)) == uint32(data.load(pos+length-3)) {
			n := equalBytes(data.load(at) ^ x)
			if n == 8 {
				n = data.extend(pos, d+1, 8, limit)
			}
			if n = min(n, limit); n > length { // better comes here beyond the margin
				length, found = n, match{n, d}
				if n >= deepNice {
					break
				}
			}
		}
		entry = e.chains.before[at&(windowSize-1)]
	}
	return found
}

// scanDeep makes tokens up to limit, or to the end of the chunk.
func (e *Encoder) scanDeep(limit int) {
	data, stats := &e.data, &e.split.chunk
	for full := e.split.tokens + deepChunkTokens; e.pos < limit && e.count < full; {
		x := data.load(e.pos)
		four, three := e.chains.note(e.pos, x)
		m := e.longest(e.pos, x, four, minMatch, deepDepth)
		if m.length == 0 {
			m = e.nearest(e.pos, x, three)
		}
		if m.length == 0 {
			stats.literals[byte(x)]++
			e.pos++
			continue
		}
		m = e.better(m)
		e.tokens[e.count&(maxTokens-1)] = stats.match(e.pos-e.run, m.length, m.distance)
		e.count++
		e.pos += m.length
		e.run = e.pos
		for p := e.chains.noted; p < e.pos; p++ {
			e.chains.note(p, data.load(p))
		}
	}
}

// nearest returns a match of 3 bytes at pos, if the one at entry is near.
func (e *Encoder) nearest(pos int, x uint64, entry uint16) match {
	d := distance(pos, entry)
	if d >= nearby || uint32(e.data.load(pos-1-d)^x)<<8 != 0 {
		return match{}
	}
	return match{minMatch, d}
}

// better gives way to matches that begin a byte or two later, for as long as they
// are worth it. It returns the last, before which it moves e.pos.
func (e *Encoder) better(m match) match {
	for m.length < deepNice {
		step, gain, next := 1, oneGain, match{}
		for ; step <= 2; step++ {
			pos := e.pos + step
			x := e.data.load(pos)
			four, _ := e.chains.note(pos, x)
			next = e.longest(pos, x, four, max(minMatch, m.length-1), deepDepth>>step)
			if next.length > 0 && m.gain(next) > gain {
				break
			}
			gain = twoGain
		}
		if step > 2 {
			return m
		}
		for range step {
			e.split.chunk.literals[e.data[e.pos&bufferMask]]++
			e.pos++
		}
		m = next
	}
	return m
}

// gain returns about how many bits next is worth more than m.
func (m match) gain(next match) int {
	return lengthGain*(next.length-m.length) + bits.Len(uint(m.distance)) - bits.Len(uint(next.distance))
}
