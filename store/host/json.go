package host

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// A jsonReader reads JSON a token at a time. All errors have the line.
type jsonReader struct {
	dec *jsontext.Decoder
	in  *lineCounter
}

func newJSONReader(r io.Reader) *jsonReader {
	in := &lineCounter{r: newBounded(r)}
	return &jsonReader{jsontext.NewDecoder(in), in}
}

// maxAhead is how far is read ahead at most. Behind a long text the decoder has room
// for megabytes, in which lineOf would count the newlines again for each path.
const maxAhead = 16 << 10

// lineCounter counts the newlines in what it reads.
type lineCounter struct {
	r io.Reader
	n int
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(len(p), maxAhead)])
	c.n += bytes.Count(p[:n], []byte{'\n'})
	return n, err
}

// lineOf returns the line, counted from 1, of an offset at or behind what was read last.
func (j *jsonReader) lineOf(offset int64) int {
	unread := j.dec.UnreadBuffer()
	ahead := min(max(offset-j.dec.InputOffset(), 0), int64(len(unread)))
	return j.in.n - bytes.Count(unread[ahead:], []byte{'\n'}) + 1
}

// line returns the line of what was read last.
func (j *jsonReader) line() int { return j.lineOf(j.dec.InputOffset()) }

// fail makes an error of what was read last.
func (j *jsonReader) fail(format string, args ...any) error {
	return fmt.Errorf("line %d: %w", j.line(), fmt.Errorf(format, args...))
}

// failed makes an error of one of the decoder.
func (j *jsonReader) failed(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok { // the decoder says of an error of the reader that it is one
		return j.fail("%w", cmp.Or(errors.Unwrap(err), err))
	}
	err = syntax.Err
	if errors.Is(err, jsontext.ErrDuplicateName) {
		err = fmt.Errorf("%w %q", err, syntax.JSONPointer.LastToken())
	}
	return fmt.Errorf("line %d: %w", j.lineOf(syntax.ByteOffset), err)
}

// token consumes a token.
func (j *jsonReader) token() (jsontext.Token, error) {
	t, err := j.dec.ReadToken()
	if err != nil {
		err = j.failed(err)
	}
	return t, err
}

// want consumes a token, which what needs to be of the given kind.
func (j *jsonReader) want(kind jsontext.Kind, what, kindName string) error {
	t, err := j.token()
	if err == nil && t.Kind() != kind {
		err = j.fail("%s: want %s", what, kindName)
	}
	return err
}

// value consumes a string or number, which what needs to be of that kind. It returns
// it as it is written, which is valid until the next call of any method.
func (j *jsonReader) value(kind jsontext.Kind, what, kindName string) ([]byte, error) {
	if j.dec.PeekKind() != kind {
		return nil, j.want(kind, what, kindName)
	}
	b, err := j.dec.ReadValue()
	if err != nil {
		return nil, j.failed(err)
	}
	return b, nil
}

// text consumes a string. It is valid until the next call of any method.
func (j *jsonReader) text(what string) ([]byte, error) {
	b, err := j.value(jsontext.KindString, what, "a string")
	switch {
	case err != nil:
		return nil, err
	case bytes.IndexByte(b, '\\') < 0:
		return b[1 : len(b)-1], nil
	}
	b, err = jsontext.AppendUnquote(nil, b)
	if err != nil {
		err = j.failed(err)
	}
	return b, err
}

// elements calls each for each element, or for each name of an object, up to the
// bracket that closes, which it consumes. each consumes the element, or the name and
// its value.
func (j *jsonReader) elements(closing jsontext.Kind, each func() error) error {
	for {
		switch j.dec.PeekKind() {
		case closing, jsontext.KindInvalid: // which the token tells
			_, err := j.token()
			return err
		}
		if err := each(); err != nil {
			return err
		}
	}
}

// skip consumes a value of any kind.
func (j *jsonReader) skip() error {
	if err := j.dec.SkipValue(); err != nil {
		return j.failed(err)
	}
	return nil
}

// end consumes white space up to the end.
func (j *jsonReader) end() error {
	_, err := j.dec.ReadToken()
	switch err {
	case io.EOF:
		return nil
	case nil:
		return j.fail("want the end after the closing bracket")
	}
	return j.failed(err)
}
