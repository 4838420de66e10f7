package host

import (
	"errors"
	"io"
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
