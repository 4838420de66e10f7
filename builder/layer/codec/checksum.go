package codec

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"
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
		return end >= 4 && binary.LittleEndian.Uint32(coded[end-4:]) == uint32(xxhash.Sum64(part)) // RFC 8878, 3.1.1
	}
	return string(coded) == string(part)
}
