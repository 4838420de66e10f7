package nar

import (
	"bufio"
	"bytes"
	"io"
)

// Delimit returns a reader of the bytes of the one NAR that stands next in br.
// It returns io.EOF after the last of them and has then taken nothing beyond
// it from br, so that what follows the NAR, as in an export stream, can be read
// there. The errors are those of Reader.
func Delimit(br *bufio.Reader) io.Reader {
	d := &delimited{in: &Reader{br: br, embedded: true}, chunk: make([]byte, 32<<10)}
	d.out = NewWriter(&d.bytes)
	return d
}

// delimited writes what it reads: there is one NAR for a tree, so these are the
// bytes that were read.
type delimited struct {
	in    *Reader
	out   *Writer
	bytes bytes.Buffer // what Read is still to return
	chunk []byte
	end   error // what Read returns then
}

func (d *delimited) Read(b []byte) (int, error) {
	for d.bytes.Len() == 0 {
		if d.end != nil {
			return 0, d.end
		}
		d.end = d.advance()
	}
	if len(b) == 0 {
		return 0, nil
	}
	return d.bytes.Read(b)
}

// advance moves some of the NAR into bytes, and returns io.EOF when that was the
// last of it.
func (d *delimited) advance() error {
	n, err := d.in.Read(d.chunk)
	if n > 0 {
		if _, err := d.out.Write(d.chunk[:n]); err != nil {
			return err
		}
	}
	if err == nil {
		return d.out.enc.flush()
	}
	if err != io.EOF {
		return err
	}
	h, err := d.in.Next()
	if err == io.EOF {
		if err := d.out.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	if err != nil {
		return err
	}
	return d.out.WriteHeader(h)
}
