package codec

import (
	"encoding/binary"

	kzstd "github.com/klauspost/compress/zstd"
)

// zstdVersion names the encoder behind zstd frames; see gzipVersion.
const zstdVersion = "klauspost1.20.3"

// zstdDefaultLevel is what Default stands for.
const zstdDefaultLevel = 3

// zstdLargeLevel is the level from which on encoders are large.
const zstdLargeLevel = 10

// zstdLevel returns the lowest level of the zstd command that the encoder
// treats as it treats level, so that codecs of one behaviour are equal.
func zstdLevel(level int) int {
	if level == Default {
		level = zstdDefaultLevel
	}
	switch kzstd.EncoderLevelFromZstd(level) {
	case kzstd.SpeedFastest:
		return 1
	case kzstd.SpeedDefault:
		return 3
	case kzstd.SpeedBetterCompression:
		return 6
	}
	return zstdLargeLevel
}

// zstdEncoder makes one zstd frame of a part.
type zstdEncoder struct{ w *kzstd.Encoder }

func newZstdEncoder(level int) (*zstdEncoder, error) {
	w, err := kzstd.NewWriter(nil,
		kzstd.WithEncoderLevel(kzstd.EncoderLevelFromZstd(level)),
		kzstd.WithEncoderConcurrency(1),
		kzstd.WithWindowSize(MaxPart),
		kzstd.WithLowerEncoderMem(true),
		kzstd.WithZeroFrames(true))
	if err != nil {
		return nil, err
	}
	return &zstdEncoder{w: w}, nil
}

func (e *zstdEncoder) encode(dst, part []byte) []byte {
	return e.w.EncodeAll(part, dst)
}

// storedFrame appends a zstd frame of raw blocks, without a checksum
// (RFC 8878, 3.1.1).
func storedFrame(dst, p []byte) []byte {
	const (
		magic    = 0xFD2FB528
		maxBlock = 128 << 10
		single   = 1 << 5 // single segment: no window, the content size instead
		size64   = 3 << 6 // content size of 8 bytes
	)
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	dst = append(dst, size64|single)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(p)))
	for {
		n := min(len(p), maxBlock)
		head := uint32(n) << 3 // type 0: raw
		if n == len(p) {
			head |= 1 // last block
		}
		dst = append(dst, byte(head), byte(head>>8), byte(head>>16))
		dst = append(dst, p[:n]...)
		if p = p[n:]; head&1 == 1 {
			return dst
		}
	}
}
