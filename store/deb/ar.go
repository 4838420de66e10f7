package deb

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"terrine/store/fault"
)

// arMagic begins an ar archive; arEnd ends the header of each member.
const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arEnd        = "`\n"
)

// arReader reads an ar archive, as far as Debian packages use the format: no
// long names, no symbol tables.
type arReader struct {
	r    io.Reader
	left int64 // of the member, with its padding
	pad  int64
	n    int // members begun
}

// newArReader reads the magic.
func newArReader(r io.Reader) (*arReader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if string(magic) != arMagic {
		return nil, malformed("no ar archive, and so no Debian package")
	}
	return &arReader{r: r}, nil
}

func malformed(format string, args ...any) error {
	return fault.New(fault.Refused, fmt.Errorf(format, args...))
}

// next goes to the next member, whose contents Read then returns. After the
// last it returns io.EOF.
func (a *arReader) next() (name string, err error) {
	if _, err := io.CopyN(io.Discard, a.r, a.left+a.pad); err != nil {
		return "", a.cut(err)
	}
	a.left, a.pad = 0, 0
	head := make([]byte, arHeaderSize)
	switch _, err := io.ReadFull(a.r, head); {
	case err == io.EOF:
		return "", io.EOF
	case err != nil:
		return "", a.cut(err)
	}
	a.n++
	if string(head[58:]) != arEnd {
		return "", malformed("member %d: its header has no end", a.n)
	}
	size, err := strconv.ParseInt(strings.TrimRight(string(head[48:58]), " "), 10, 64)
	if err != nil || size < 0 {
		return "", malformed("member %d: size %q", a.n, head[48:58])
	}
	a.left, a.pad = size, size%2
	return strings.TrimSuffix(strings.TrimRight(string(head[:16]), " "), "/"), nil
}

// Read reads the member.
func (a *arReader) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.r.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	if err == io.EOF && a.left > 0 {
		err = a.cut(err)
	}
	return n, err
}

func (a *arReader) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("cut off in member %d", a.n)
	}
	return err
}
