package nar

import (
	"encoding/binary"
	"io"
)

// The keywords as they stand in a NAR: length in 8 bytes, little-endian, then
// the bytes, then zeros up to a multiple of 8.
const (
	tokMagic      = "\x0d\x00\x00\x00\x00\x00\x00\x00nix-archive-1\x00\x00\x00"
	tokOpen       = "\x01\x00\x00\x00\x00\x00\x00\x00(\x00\x00\x00\x00\x00\x00\x00"
	tokClose      = "\x01\x00\x00\x00\x00\x00\x00\x00)\x00\x00\x00\x00\x00\x00\x00"
	tokType       = "\x04\x00\x00\x00\x00\x00\x00\x00type\x00\x00\x00\x00"
	tokRegular    = "\x07\x00\x00\x00\x00\x00\x00\x00regular\x00"
	tokDirectory  = "\x09\x00\x00\x00\x00\x00\x00\x00directory\x00\x00\x00\x00\x00\x00\x00"
	tokSymlink    = "\x07\x00\x00\x00\x00\x00\x00\x00symlink\x00"
	tokExecutable = "\x0a\x00\x00\x00\x00\x00\x00\x00executable\x00\x00\x00\x00\x00\x00"
	tokEmpty      = "\x00\x00\x00\x00\x00\x00\x00\x00"
	tokContents   = "\x08\x00\x00\x00\x00\x00\x00\x00contents"
	tokTarget     = "\x06\x00\x00\x00\x00\x00\x00\x00target\x00\x00"
	tokEntry      = "\x05\x00\x00\x00\x00\x00\x00\x00entry\x00\x00\x00"
	tokName       = "\x04\x00\x00\x00\x00\x00\x00\x00name\x00\x00\x00\x00"
	tokNode       = "\x04\x00\x00\x00\x00\x00\x00\x00node\x00\x00\x00\x00"
)

// bufSize is what the buffer of an encoder grows to. It then holds a small file
// whole, so that one read fetches it, and stays within a core's cache between that
// read and the hash which is the usual consumer. Most NARs are of one small file: to
// make the whole buffer for each would take far longer than to read it.
const (
	bufSize  = 256 << 10
	firstBuf = 4 << 10
)

// encoder writes tokens, through a buffer. Its first error sticks and comes
// out of flush; whoever writes contents asks for it on the way.
type encoder struct {
	w   io.Writer
	buf []byte // cap firstBuf to bufSize
	err error
}

func newEncoder(w io.Writer) *encoder {
	return &encoder{w: w, buf: make([]byte, 0, firstBuf)}
}

// room makes room for n bytes, or for as many as fit into an empty buffer.
func (e *encoder) room(n int64) {
	need := len(e.buf) + int(min(n, bufSize))
	if need > cap(e.buf) && cap(e.buf) < bufSize {
		e.buf = append(make([]byte, 0, min(bufSize, max(need, 4*cap(e.buf)))), e.buf...)
	}
	if need > cap(e.buf) {
		e.flush()
	}
}

// raw writes what is encoded already.
func (e *encoder) raw(s string) {
	e.room(int64(len(s)))
	e.buf = append(e.buf, s...)
}

// uint64 writes a number.
func (e *encoder) uint64(n uint64) {
	e.room(8)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, n)
}

// str writes a string: a name or a link target.
func (e *encoder) str(s string) {
	e.uint64(uint64(len(s)))
	e.raw(s)
	e.pad(int64(len(s)))
}

// pad writes the zeros that follow n bytes.
func (e *encoder) pad(n int64) { e.raw(tokEmpty[:padding(n)]) }

// write writes file contents. Large ones do not go through the buffer.
func (e *encoder) write(b []byte) error {
	e.room(int64(len(b)))
	if len(b) > cap(e.buf)-len(e.buf) {
		e.put(b)
		return e.err
	}
	e.buf = append(e.buf, b...)
	return e.err
}

// flush empties the buffer and returns the first error of the writer.
func (e *encoder) flush() error {
	e.put(e.buf)
	e.buf = e.buf[:0]
	return e.err
}

func (e *encoder) put(b []byte) {
	if e.err != nil || len(b) == 0 {
		return
	}
	n, err := e.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	e.err = err
}

// regular writes a regular file up to its contents.
func (e *encoder) regular(size int64, executable bool) {
	e.raw(tokOpen + tokType + tokRegular)
	if executable {
		e.raw(tokExecutable + tokEmpty)
	}
	e.raw(tokContents)
	e.uint64(uint64(size))
}

// regularEnd writes what follows the contents.
func (e *encoder) regularEnd(size int64) {
	e.pad(size)
	e.raw(tokClose)
}

func (e *encoder) symlink(target string) {
	e.raw(tokOpen + tokType + tokSymlink + tokTarget)
	e.str(target)
	e.raw(tokClose)
}

// entry writes what stands before the node of an entry; tokClose follows it.
func (e *encoder) entry(name string) {
	e.raw(tokEntry + tokOpen + tokName)
	e.str(name)
	e.raw(tokNode)
}

// padding returns the bytes that fill n up to a multiple of 8.
func padding(n int64) int64 { return -n & 7 }
