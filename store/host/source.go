package host

import (
	"bytes"
	"errors"
	"io"
	"sort"
)

// bounded is a reader of at most maxBytes. The errors of the one below it are
// readErrors.
type bounded struct {
	r    io.Reader
	left int64
}

func newBounded(r io.Reader) *bounded { return &bounded{r: r, left: maxBytes} }

var errTooLarge = errors.New("larger than 1 GiB")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}

// readError is an error of the reader and not of what was read.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// lineCounter passes a stream on, and knows on which line a byte of it stands. It
// keeps the newlines behind the last position asked for, which for a JSON decoder
// that asks at every token are those in its buffer.
type lineCounter struct {
	r        io.Reader
	offset   int64   // bytes passed on
	line     int     // lines that end before newlines[0]
	newlines []int64 // offsets
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for at := 0; ; {
		i := bytes.IndexByte(p[at:n], '\n')
		if i < 0 {
			break
		}
		at += i + 1
		c.newlines = append(c.newlines, c.offset+int64(at)-1)
	}
	c.offset += int64(n)
	return n, err
}

// at returns the line, counted from 1, of the byte at offset. Offsets may not
// go back.
func (c *lineCounter) at(offset int64) int {
	n := sort.Search(len(c.newlines), func(i int) bool { return c.newlines[i] >= offset })
	c.line += n
	c.newlines = c.newlines[n:]
	return c.line + 1
}
