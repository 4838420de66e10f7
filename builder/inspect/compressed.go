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
	format, err := compression.Detect(b)
	if err != nil {
		return nil, err
	}
	return compression.NewReader(format, b)
}
