package deflate

// A mode is a way to look for matches.
type mode uint8

const (
	shortMode mode = iota // by 3 and 5 bytes
	wideMode              // by 4 and 5 bytes
	noiseMode             // at few positions, by 5 bytes
	deepMode              // by 3 and 4 bytes, at many positions; small data have no other
)

// nearby is the largest distance of a match of 3 bytes: from further
// away it takes about as many bits as literals do.
const nearby = 2048

// tables know the last position of what has a hash. Of positions they keep the
// low 16 bits: what they tell may be wrong, and is compared in any case.
type tables struct {
	five  [1 << 16]uint16
	four  [1 << 12]uint16
	three [1 << 10]uint16
}

func (t *tables) reset() {
	clear(t.five[:])
	clear(t.four[:])
	clear(t.three[:])
}

// The hashes of the first bytes of x multiply by the golden ratio, as a fraction
// of the word, and take the highest bits. The factors of hash5 and hash3 are shifted
// by the bytes of x that do not count.
func hash5(x uint64) uint64 { return x * (0x9E3779B185EBCA87 << 24 & (1<<64 - 1)) >> (64 - 16) }
func hash4(x uint64) uint32 { return uint32(x) * 0x9E3779B1 >> (32 - 12) }
func hash3(x uint64) uint32 { return uint32(x) * (0x9E3779B1 << 8 & (1<<32 - 1)) >> (32 - 10) }

// behind returns at which offset to pos an entry of a table lies: from -windowSize
// to -1. Where pos is not 0, that is not before the data: an entry is of a position
// before pos, or 0.
func behind(pos int, entry uint16) int { return (int(entry) - pos) | -windowSize }

// distance returns how far before pos, less one, an entry of a table lies.
func distance(pos int, entry uint16) int { return ^behind(pos, entry) }

// noteShort notes a position that scanShort passes over.
func (e *Encoder) noteShort(pos int) {
	x := e.data.load(pos)
	e.tables.five[hash5(x)] = uint16(pos)
	e.tables.three[hash3(x)] = uint16(pos)
}

// noteWide notes a position that scanWide passes over.
func (e *Encoder) noteWide(pos int) {
	x := e.data.load(pos)
	e.tables.five[hash5(x)] = uint16(pos)
	e.tables.four[hash4(x)] = uint16(pos)
}

// scanShort makes tokens up to limit, or to the end of the chunk. It differs from
// scanWide in its second table; as one function they would be slower by 6 %.
func (e *Encoder) scanShort(limit int) {
	data, tables, stats := &e.data, &e.tables, &e.split.chunk
	pos, run, count := e.pos, e.run, e.count
	for full := e.split.tokens + chunkTokens; pos < limit && count < full; {
		x := data.load(pos)
		h5, h3 := hash5(x), hash3(x)
		offset, near := behind(pos, tables.five[h5]), behind(pos, tables.three[h3])
		tables.five[h5], tables.three[h3] = uint16(pos), uint16(pos)
		diff, nearDiff := data.load(pos+offset)^x, data.load(pos+near)^x
		if uint32(diff) != 0 {
			if uint32(nearDiff)<<8 != 0 || near < -nearby {
				stats.literals[byte(x)]++
				pos++
				continue
			}
			diff, offset = nearDiff, near
		}
		length := equalBytes(diff)
		if length < 8 { // is there a longer match at the next byte?
			x1 := data.load(pos + 1)
			offset1 := behind(pos+1, tables.five[hash5(x1)])
			if l := equalBytes(data.load(pos+1+offset1) ^ x1); l > length {
				stats.literals[byte(x)]++
				pos++
				length, offset = l, offset1
				e.noteShort(pos)
			}
		}
		if length == 8 {
			length = data.extend(pos, -offset, 8, min(maxMatch, e.size-pos))
		}
		e.tokens[count&(maxTokens-1)] = stats.match(pos-run, length, ^offset)
		count++
		e.noteShort(pos + 1)
		e.noteShort(pos + 2)
		run = pos + length
		if length > 4 {
			e.noteShort(pos + 3)
			e.noteShort(pos + 4)
			e.noteShort(run - 1)
		}
		pos = run
	}
	e.pos, e.run, e.count = pos, run, count
}

// scanWide makes tokens up to limit, or to the end of the chunk.
func (e *Encoder) scanWide(limit int) {
	data, tables, stats := &e.data, &e.tables, &e.split.chunk
	pos, run, count := e.pos, e.run, e.count
	for full := e.split.tokens + chunkTokens; pos < limit && count < full; {
		x := data.load(pos)
		h5, h4 := hash5(x), hash4(x)
		offset, offset4 := behind(pos, tables.five[h5]), behind(pos, tables.four[h4])
		tables.five[h5], tables.four[h4] = uint16(pos), uint16(pos)
		diff, diff4 := data.load(pos+offset)^x, data.load(pos+offset4)^x
		if uint32(diff) != 0 {
			if uint32(diff4) != 0 {
				stats.literals[byte(x)]++
				pos++
				continue
			}
			diff, offset = diff4, offset4
		}
		length := equalBytes(diff)
		if length < 8 { // is there a longer match at the next byte?
			x1 := data.load(pos + 1)
			offset1 := behind(pos+1, tables.five[hash5(x1)])
			if l := equalBytes(data.load(pos+1+offset1) ^ x1); l > length {
				stats.literals[byte(x)]++
				pos++
				length, offset = l, offset1
				e.noteWide(pos)
			}
		}
		if length == 8 {
			length = data.extend(pos, -offset, 8, min(maxMatch, e.size-pos))
		}
		e.tokens[count&(maxTokens-1)] = stats.match(pos-run, length, ^offset)
		count++
		e.noteWide(pos + 1)
		e.noteWide(pos + 2)
		run = pos + length
		if length > 4 {
			e.noteWide(pos + 3)
			e.noteWide(pos + 4)
			e.noteWide(run - 1)
		}
		pos = run
	}
	e.pos, e.run, e.count = pos, run, count
}

// scanNoise makes literals up to limit, unless it finds a match before, which it
// leaves to be taken. It looks only at positions that are chosen by the bytes
// there, so that long repetitions show.
func (e *Encoder) scanNoise(limit int) (found bool) {
	data, five := &e.data, &e.tables.five
	start := e.pos
	for ; e.pos < limit; e.pos++ {
		x := data.load(e.pos)
		h := hash5(x)
		if h%32 != 0 {
			continue
		}
		if d := distance(e.pos, five[h]); data.load(e.pos-1-d) == x {
			found = true
			break
		}
		five[h] = uint16(e.pos)
	}
	for _, b := range data[start:e.pos] {
		e.split.chunk.literals[b]++
	}
	return found
}
