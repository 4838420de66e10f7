package codec

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Holds reports whether coded, which an encoder of c has made of one part, is of
// part, as far as the checksum in it tells: nothing is decoded. It finds what was
// encoded of other bytes by accident, and no forgery. part is not empty.
func (c Codec) Holds(coded, part []byte) bool {
	end := len(coded)
	switch c.algorithm {
	case gzip:
		return end >= 8 && binary.LittleEndian.Uint32(coded[end-8:]) == crc32.ChecksumIEEE(part)
	case zstd:
		return end >= 4 && binary.LittleEndian.Uint32(coded[end-4:]) == uint32(xxh64(part))
	}
	return string(coded) == string(part)
}

const (
	prime1 = 11400714785074694791
	prime2 = 14029467366897019727
	prime3 = 1609587929392839161
	prime4 = 9650029242287828579
	prime5 = 2870177450012600261
)

// xxh64 returns the checksum of which zstd frames have the low half (RFC 8878,
// 3.1.1), XXH64 with a seed of 0.
//
// See https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
func xxh64(b []byte) uint64 {
	h, size := uint64(prime5), uint64(len(b))
	if len(b) >= 32 {
		// Constants would overflow.
		p1, p2 := uint64(prime1), uint64(prime2)
		lanes := [4]uint64{p1 + p2, p2, 0, -p1}
		for ; len(b) >= 32; b = b[32:] {
			for i := range lanes {
				lanes[i] = xxhRound(lanes[i], binary.LittleEndian.Uint64(b[8*i:]))
			}
		}
		h = bits.RotateLeft64(lanes[0], 1) + bits.RotateLeft64(lanes[1], 7) + bits.RotateLeft64(lanes[2], 12) + bits.RotateLeft64(lanes[3], 18)
		for _, lane := range lanes {
			h = (h^xxhRound(0, lane))*prime1 + prime4
		}
	}
	h += size
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^xxhRound(0, binary.LittleEndian.Uint64(b)), 27)*prime1 + prime4
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(b))*prime1, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

func xxhRound(acc, lane uint64) uint64 { return bits.RotateLeft64(acc+lane*prime2, 31) * prime1 }
