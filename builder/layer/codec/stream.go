package codec

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/pgzip"
)

// NewStream returns a writer that compresses all that is written to it into one
// gzip member, for decoders that read no more than the first. workers is how
// many blocks are compressed at once; it has no influence on the bytes. The caller
// closes the stream, which does not close w. Only gzip has streams.
func (c Codec) NewStream(w io.Writer, workers int) (io.WriteCloser, error) {
	if c.algorithm != gzip {
		return nil, errors.New("compress into one member: only gzip has members")
	}
	level := c.level
	if level == Default {
		level = streamDefaultLevel
	}
	z, err := pgzip.NewWriterLevel(w, level)
	if err != nil {
		return nil, fmt.Errorf("compress into one member: %w", err)
	}
	if err := z.SetConcurrency(MaxPart, max(1, workers)); err != nil {
		return nil, fmt.Errorf("compress into one member: %w", err)
	}
	z.ModTime = time.Unix(0, 0)
	return z, nil
}
