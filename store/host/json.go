package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A jsonReader reads JSON a token at a time and makes no garbage of texts: a graph
// of 20,000 paths has a hundred thousand, nearly all of which have been read before.
// All errors have the line.
type jsonReader struct {
	r    io.Reader
	buf  []byte // what was read, of which that before pos is consumed
	pos  int
	line int // of pos, counted from 1: in JSON newlines stand between tokens only
}

const jsonBuffer = 64 << 10 // at first: it grows for longer tokens

func newJSONReader(r io.Reader) *jsonReader {
	return &jsonReader{r: newBounded(r), buf: make([]byte, 0, jsonBuffer), line: 1}
}

func (j *jsonReader) at() string { return "line " + strconv.Itoa(j.line) }

// fail makes an error of the position.
func (j *jsonReader) fail(format string, args ...any) error {
	return fmt.Errorf("%s: %w", j.at(), fmt.Errorf(format, args...))
}

// fill reads more behind what is not consumed.
func (j *jsonReader) fill() error {
	if j.pos > 0 {
		j.buf = j.buf[:copy(j.buf, j.buf[j.pos:])]
		j.pos = 0
	}
	if len(j.buf) == cap(j.buf) {
		j.buf = append(make([]byte, 0, 2*cap(j.buf)), j.buf...)
	}
	for range 100 {
		n, err := j.r.Read(j.buf[len(j.buf):cap(j.buf)])
		j.buf = j.buf[:len(j.buf)+n]
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return &readError{io.ErrNoProgress}
}

// peek passes white space and returns the byte behind it, which it does not consume.
func (j *jsonReader) peek() (byte, error) {
	c, err := j.peekEnd()
	if err == io.EOF {
		err = j.fail("%w", io.ErrUnexpectedEOF)
	}
	return c, err
}

// peekEnd is peek where io.EOF may come.
func (j *jsonReader) peekEnd() (byte, error) {
	for {
		for ; j.pos < len(j.buf); j.pos++ {
			switch c := j.buf[j.pos]; c {
			case '\n':
				j.line++
			case ' ', '\t', '\r':
			default:
				return c, nil
			}
		}
		if err := j.fill(); err == io.EOF {
			return 0, err
		} else if err != nil {
			return 0, j.fail("%w", err)
		}
	}
}

// open consumes an opening bracket. If something else is there, the error says that
// what wants it.
func (j *jsonReader) open(bracket byte, what string) error {
	c, err := j.peek()
	if err != nil {
		return err
	}
	if c != bracket {
		return j.unlike(c, "%s: want %s", what, describe(bracket))
	}
	j.pos++
	return nil
}

func describe(bracket byte) string {
	if bracket == '{' {
		return "an object"
	}
	return "an array"
}

// unlike is the error for a token that begins with c where another is wanted.
func (j *jsonReader) unlike(c byte, format string, args ...any) error {
	if strings.IndexByte(`"{[-0123456789tfn`, c) < 0 {
		return j.invalid(c)
	}
	return j.fail(format, args...)
}

func (j *jsonReader) invalid(c byte) error { return j.fail("invalid character %q", rune(c)) }

// more reports whether another element follows in an array or object, and consumes
// the comma before it, or the bracket that closes.
func (j *jsonReader) more(bracket byte, first bool) (bool, error) {
	c, err := j.peek()
	switch {
	case err != nil:
		return false, err
	case c == bracket:
		j.pos++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, j.invalid(c)
	}
	j.pos++
	if c, err = j.peek(); err == nil && c == bracket {
		err = j.invalid(c)
	}
	return true, err
}

// name consumes the name of a field, and the colon behind it.
func (j *jsonReader) name() (string, error) {
	c, err := j.peek()
	if err != nil {
		return "", err
	}
	if c != '"' {
		return "", j.invalid(c)
	}
	text, err := j.text()
	if err != nil {
		return "", err
	}
	name := fieldName(text)
	if c, err = j.peek(); err != nil {
		return "", err
	}
	if c != ':' {
		return "", j.invalid(c)
	}
	j.pos++
	return name, nil
}

// fieldName is string(b), with one copy for all that have the same common name.
func fieldName(b []byte) string {
	switch string(b) {
	case "path":
		return "path"
	case "narHash":
		return "narHash"
	case "narSize":
		return "narSize"
	case "references":
		return "references"
	}
	return string(b)
}

// text consumes a text, whose opening quote has been seen. What it returns is valid
// until the next call of any method.
func (j *jsonReader) text() ([]byte, error) {
	plain := true // as it stands
	for i := j.pos + 1; ; i++ {
		for i >= len(j.buf) {
			seen := i - j.pos
			if err := j.fill(); err != nil {
				return nil, j.cut(err)
			}
			i = j.pos + seen
		}
		switch c := j.buf[i]; {
		case c == '"':
			raw := j.buf[j.pos : i+1]
			j.pos = i + 1
			if plain {
				return raw[1 : len(raw)-1], nil
			}
			return j.unquote(raw)
		case c < ' ':
			return nil, j.fail("invalid character %q in a text", rune(c))
		case c == '\\':
			plain = false
			i++ // what follows ends no text
		case c >= 0x80:
			plain = false // it need not be UTF-8
		}
	}
}

func (j *jsonReader) unquote(raw []byte) ([]byte, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, j.fail("%w", err)
	}
	return []byte(s), nil
}

// cut makes an error of one that came within a token.
func (j *jsonReader) cut(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return j.fail("%w", err)
}

// word consumes a number, true, false or null. What it returns is valid until the
// next call of any method.
func (j *jsonReader) word() ([]byte, error) {
	i := j.pos
	for {
		for i < len(j.buf) && (isNumber(j.buf[i]) || isLetter(j.buf[i])) {
			i++
		}
		if i < len(j.buf) {
			break
		}
		seen := i - j.pos
		err := j.fill()
		i = j.pos + seen
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, j.cut(err)
		}
	}
	word := j.buf[j.pos:i]
	if len(word) == 0 {
		return nil, j.invalid(j.buf[i])
	}
	if !json.Valid(word) {
		return nil, j.fail("invalid character %q at the beginning of %.20q", rune(word[0]), word)
	}
	j.pos = i
	return word, nil
}

func isNumber(c byte) bool { return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || c == 'E' }

// skip consumes a value of any kind, at a depth of so many others.
func (j *jsonReader) skip(depth int) error {
	if depth > maxNesting {
		return j.fail("nested deeper than %d", maxNesting)
	}
	c, err := j.peek()
	if err != nil {
		return err
	}
	switch c {
	case '"':
		_, err = j.text()
		return err
	case '[':
		j.pos++
		return j.elements(']', func() error { return j.skip(depth + 1) })
	case '{':
		j.pos++
		return j.elements('}', func() error {
			if _, err := j.name(); err != nil {
				return err
			}
			return j.skip(depth + 1)
		})
	}
	_, err = j.word()
	return err
}

// elements calls each for each element up to the bracket that closes, which it
// consumes.
func (j *jsonReader) elements(bracket byte, each func() error) error {
	for first := true; ; first = false {
		more, err := j.more(bracket, first)
		if err != nil || !more {
			return err
		}
		if err := each(); err != nil {
			return err
		}
	}
}

// end consumes white space up to the end.
func (j *jsonReader) end() error {
	c, err := j.peekEnd()
	switch {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	}
	return j.unlike(c, "want the end after the closing bracket")
}
