// Package codec compresses the parts of a layer.
//
// A layer is cut into parts of at most MaxPart bytes. Every part becomes one
// gzip member (RFC 1952) or one zstd frame (RFC 8878) that stands by itself,
// and members and frames may be concatenated: the blob of a layer is the
// concatenation of its encoded parts, and a part that was encoded once never
// has to be encoded again.
//
// The encoded bytes are a function of the Codec and of the bytes of the part,
// and of nothing else: not of the parts before it, the number of workers, the
// architecture, or timing. They do depend on the version of the encoder, which
// is why Codec.ID names it and belongs into every key of encoded bytes.
package codec

import (
	"fmt"
	"strconv"

	"terrine/builder/layer/codec/deflate"
)

// MaxPart is the size, in bytes, of the largest part that can be encoded.
// Larger parts would hardly be smaller when compressed (the window of deflate
// is 32 KiB), would need more memory per worker, and would leave workers idle
// at the end of a layer.
const MaxPart = deflate.MaxSize

// Default asks Gzip and Zstd for what suits images best. With gzip that is no level:
// an encoder of our own makes members that are 3 to 6 % larger than those of zlib's
// level 6, in a seventh of its time.
const Default = 0

type algorithm uint8

const (
	none algorithm = iota
	gzip
	zstd
)

// Codec says how parts are encoded. It is a comparable value; the zero Codec
// is None. Its methods may be called concurrently.
type Codec struct {
	algorithm algorithm
	level     int
}

// None returns the codec that leaves parts as they are.
func None() Codec { return Codec{} }

// Gzip returns the codec that makes gzip members. level is Default or a level
// of gzip, from 1 (fast) to 9 (small).
func Gzip(level int) (Codec, error) {
	if level < Default || level > 9 {
		return Codec{}, fmt.Errorf("choose gzip level %d: want 1 to 9", level)
	}
	return Codec{algorithm: gzip, level: level}, nil
}

// Zstd returns the codec that makes zstd frames. level is Default or a level
// of the zstd command, from 1 (fast) to 22 (small). The encoder knows four
// levels, so neighbours may give the same bytes.
func Zstd(level int) (Codec, error) {
	if level < Default || level > 22 {
		return Codec{}, fmt.Errorf("choose zstd level %d: want 1 to 22", level)
	}
	return Codec{algorithm: zstd, level: zstdLevel(level)}, nil
}

// Algorithm returns "gzip", "zstd" or "none".
func (c Codec) Algorithm() string {
	switch c.algorithm {
	case gzip:
		return "gzip"
	case zstd:
		return "zstd"
	}
	return "none"
}

// ID names everything besides the part that its encoded bytes depend on:
// algorithm, level, largest part, and the encoder with its version. Codecs
// with the same ID give the same bytes, in every build of this program.
func (c Codec) ID() string {
	if c.algorithm == none {
		return "none"
	}
	level, version := strconv.Itoa(c.level), gzipVersion
	switch {
	case c.algorithm == zstd:
		version = zstdVersion
	case c.level == Default:
		level, version = "default", defaultVersion
	}
	return c.Algorithm() + "-" + level + "-part" + strconv.Itoa(MaxPart) + "-" + version
}

// Stored appends to dst a member or frame that holds p uncompressed, and
// returns the extended slice. Its length depends on the length of p alone, so
// the place of what is not known yet can be kept and patched later. p should
// have at most MaxPart bytes: decoders may refuse to buffer larger frames.
func (c Codec) Stored(dst, p []byte) []byte {
	switch c.algorithm {
	case gzip:
		return storedMember(dst, p)
	case zstd:
		return storedFrame(dst, p)
	}
	return append(dst, p...)
}

// encoder encodes parts, one after the other. It is not safe for concurrent
// use: for that there are Encoders. It needs no closing.
type encoder struct {
	codec Codec
	gzip  gzipEncoder
	zstd  *zstdEncoder
}

// newEncoder returns an encoder of c. Buffers and tables are made with it or
// at the first part, and used again for every later one: 2.4 MiB for gzip's
// default, 4 for that of zstd, 7 for others, and 37 for zstd from level 10: many
// goroutines share what NewEncoders returns.
func (c Codec) newEncoder() (*encoder, error) {
	e := &encoder{codec: c}
	var err error
	switch c.algorithm {
	case gzip:
		e.gzip, err = newGzipEncoder(c.level)
	case zstd:
		e.zstd, err = newZstdEncoder(c.level)
	}
	if err != nil {
		return nil, fmt.Errorf("make %s encoder: %w", c.ID(), err)
	}
	return e, nil
}

// encode is Encoders.Encode.
func (e *encoder) encode(dst, part []byte) ([]byte, error) {
	if len(part) > MaxPart {
		return dst, fmt.Errorf("encode part: %d bytes, the limit is %d", len(part), MaxPart)
	}
	switch e.codec.algorithm {
	case gzip:
		return e.gzip.encode(dst, part)
	case zstd:
		return e.zstd.encode(dst, part), nil
	}
	return append(dst, part...), nil
}
