package host

import (
	"bytes"
	"errors"
	"io"
	"sort"
)

// lineCounter passes a stream on, bounded in size, and knows on which line a
// byte of it stands. It keeps the newlines behind the last position asked for,
// which for a JSON decoder are those in its buffer.
type lineCounter struct {
	r        io.Reader
	offset   int64   // bytes passed on
	left     int64   // bytes that may still come
	line     int     // lines that end before newlines[0]
	newlines []int64 // offsets
}

var errTooLarge = errors.New("larger than 1 GiB")

func newLineCounter(r io.Reader) *lineCounter { return &lineCounter{r: r, left: maxBytes} }

func (c *lineCounter) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
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
