package codec

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/klauspost/pgzip"

	"terrine/builder/layer/codec/deflate"
)

// gzipVersion names the library behind gzip members of level 1 to 9, and behind
// streams. The bytes that it makes change between versions, so gzipVersion
// changes with the version in go.mod (a test compares them).
const gzipVersion = "klauspost1.20.3"

// defaultVersion names the encoders behind the default: members are made by our own,
// streams by the library, at streamDefaultLevel.
const (
	defaultVersion     = "terrine" + deflate.Version + "-" + gzipVersion
	streamDefaultLevel = 6
)

// gzipEncoder makes one gzip member of a part.
type gzipEncoder interface {
	encode(dst, part []byte) ([]byte, error)
}

func newGzipEncoder(level int) (gzipEncoder, error) {
	if level == Default {
		return &defaultEncoder{}, nil
	}
	w, err := pgzip.NewWriterLevel(nil, level)
	if err != nil {
		return nil, err
	}
	return &levelEncoder{w: w}, nil
}

// defaultEncoder makes members that are smaller than the library's at the same
// speed. Those of its level 6 are as large, and take twice the time and more.
type defaultEncoder struct{ deflate deflate.Encoder }

func (e *defaultEncoder) encode(dst, part []byte) ([]byte, error) {
	dst = e.deflate.Encode(append(dst, gzipHeader...), part)
	return appendTrailer(dst, part), nil
}

// levelEncoder makes members with pgzip. Parts are what is compressed in parallel,
// so it gives pgzip one block per part.
type levelEncoder struct {
	w   *pgzip.Writer
	out appender
}

// appender is an io.Writer that appends.
type appender struct{ buf []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.buf = append(a.buf, p...)
	return len(p), nil
}

func (e *levelEncoder) encode(dst, part []byte) ([]byte, error) {
	e.out.buf = dst
	e.w.Reset(&e.out)
	// A block larger than any part: a full block would be followed by an empty one.
	if err := e.w.SetConcurrency(MaxPart+1, 1); err != nil {
		return dst, fmt.Errorf("encode part: %w", err)
	}
	e.w.ModTime = time.Unix(0, 0) // the zero time would be written as garbage
	if _, err := e.w.Write(part); err != nil {
		return dst, fmt.Errorf("encode part: %w", err)
	}
	if err := e.w.Close(); err != nil {
		return dst, fmt.Errorf("encode part: %w", err)
	}
	dst, e.out.buf = e.out.buf, nil
	return dst, nil
}

// The gzip header of every member: deflate, no name, no time, unknown
// operating system (RFC 1952, 2.3).
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// storedMember appends a gzip member of stored deflate blocks (RFC 1951, 3.2.4).
func storedMember(dst, p []byte) []byte {
	const maxBlock = 1<<16 - 1
	dst = append(dst, gzipHeader...)
	for rest := p; ; {
		n := min(len(rest), maxBlock)
		last := byte(0)
		if n == len(rest) {
			last = 1
		}
		dst = append(dst, last)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
		dst = binary.LittleEndian.AppendUint16(dst, ^uint16(n))
		dst = append(dst, rest[:n]...)
		if rest = rest[n:]; last == 1 {
			break
		}
	}
	return appendTrailer(dst, p)
}

// appendTrailer appends the end of a member whose uncompressed bytes are p.
func appendTrailer(dst, p []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(p))
	return binary.LittleEndian.AppendUint32(dst, uint32(len(p)))
}
