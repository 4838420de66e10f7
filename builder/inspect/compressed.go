package inspect

import (
	"bufio"
	"io"

	"terrine/store/compression"
)

// peekSize is how much of a member is looked at to tell what it is: more than
// the two blocks of an empty tar.
const peekSize = 4096

// decompress returns r as a plain stream, whatever it is compressed by. The
// caller closes it; that does not close r.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	format, err := detect(b)
	if err != nil {
		return nil, err
	}
	return compression.NewReader(format, b)
}

// detect tells what b is compressed by, without reading it. Some zstd streams
// begin with a skippable frame, of sixteen magic numbers.
func detect(b *bufio.Reader) (compression.Format, error) {
	format, err := compression.Detect(b)
	if err != nil || format != compression.None {
		return format, err
	}
	if head, err := b.Peek(4); err == nil && head[0]&0xf0 == 0x50 && string(head[1:]) == "\x2a\x4d\x18" {
		return compression.Zstd, nil
	}
	return format, nil
}
