package archive

import (
	"io"

	"terrine/builder/layer/codec"
)

// An encoder writes a stream of members that are encoded one by one, and counts
// what it writes.
type encoder struct {
	w       io.Writer
	codec   codec.Codec
	part    *codec.Encoder
	written int64
}

func newEncoder(w io.Writer, c codec.Codec) (*encoder, error) {
	part, err := c.NewEncoder()
	return &encoder{w: w, codec: c, part: part}, err
}

// Write writes what is encoded already.
func (e *encoder) Write(p []byte) (int, error) {
	n, err := e.w.Write(p)
	e.written += int64(n)
	return n, err
}

// stored writes p so that the length written depends on p's length alone.
func (e *encoder) stored(p []byte) error {
	_, err := e.Write(e.codec.Stored(nil, p))
	return err
}

// finish writes the documents and the end of the archive.
func (e *encoder) finish(documents []Member) error {
	tail := appendTail(nil, documents)
	for len(tail) > 0 {
		n := min(len(tail), codec.MaxPart)
		coded, err := e.part.Encode(nil, tail[:n])
		if err != nil {
			return err
		}
		if _, err := e.Write(coded); err != nil {
			return err
		}
		tail = tail[n:]
	}
	return nil
}
