package nar

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"terrine/store/fault"
)

// Reader reads one NAR: Next goes to the next node, Read reads the contents of
// a regular file. Nodes come as they stand in the NAR: the root first, a
// directory before its entries.
//
// A Reader is for one goroutine. Its first error sticks; one about the NAR
// itself has the class fault.Refused and names the byte, an error of the
// underlying reader is wrapped.
type Reader struct {
	br       *bufio.Reader
	embedded bool // something may follow the NAR
	started  bool
	open     []openDir // the directories that the next node may stand in
	path     string    // of the node being read, for errors
	inFile   bool
	size     int64 // bytes of the file being read
	left     int64 // of which Read has not had these
	offset   int64 // bytes of the NAR that have been read
	broken   bool  // the underlying reader failed
	scratch  [MaxTargetLen + 8]byte
	err      error
}

// NewReader returns a Reader of the NAR in r, which must hold nothing else.
// The Reader buffers; after io.EOF from Next all of r has been read.
func NewReader(r io.Reader) *Reader {
	br, ok := r.(*bufio.Reader)
	if !ok {
		br = bufio.NewReaderSize(r, 64<<10)
	}
	return &Reader{br: br}
}

// Next goes to the next node, past what is unread of the one before. At the end
// of the NAR, which must be that of the input too, it returns io.EOF.
func (r *Reader) Next() (*Header, error) {
	if r.err != nil {
		return nil, r.err
	}
	h, err := r.next()
	if err != nil {
		r.err = r.locate(err)
		return nil, r.err
	}
	return h, nil
}

func (r *Reader) next() (*Header, error) {
	if err := r.endFile(); err != nil {
		return nil, err
	}
	if !r.started {
		r.started = true
		if err := r.expect("nix-archive-1"); err != nil {
			if !r.broken {
				err = fmt.Errorf("not a NAR: %w", err)
			}
			return nil, err
		}
		return r.node("")
	}
	for len(r.open) > 0 {
		tag, err := r.token(maxTagLen)
		if err != nil {
			return nil, err
		}
		switch string(tag) {
		case "entry":
			return r.entry()
		case ")":
			r.open = r.open[:len(r.open)-1]
			if err := r.endEntry(); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("want entry or ), not %q", tag)
		}
	}
	return nil, r.endOfInput()
}

// endOfInput returns io.EOF, or what is wrong with the end of the NAR.
func (r *Reader) endOfInput() error {
	if r.embedded {
		return io.EOF
	}
	_, err := r.br.ReadByte()
	switch {
	case err == nil:
		return errors.New("data after the end of the NAR")
	case err == io.EOF:
		return io.EOF
	}
	return r.failed(err)
}

// entry reads an entry of the innermost directory up to its node's contents.
func (r *Reader) entry() (*Header, error) {
	if err := r.expect("(", "name"); err != nil {
		return nil, err
	}
	b, err := r.token(MaxNameLen)
	if err != nil {
		return nil, err
	}
	if err := checkName(string(b)); err != nil {
		return nil, err
	}
	dir := &r.open[len(r.open)-1]
	r.path = dir.child(string(b))
	name := r.path[len(r.path)-len(b):]
	if name <= dir.last {
		return nil, fmt.Errorf("name is not after %q in byte order", dir.last)
	}
	dir.last = name
	if err := r.expect("node"); err != nil {
		return nil, err
	}
	return r.node(r.path)
}

// node reads a node up to its contents or its entries.
func (r *Reader) node(path string) (*Header, error) {
	if len(r.open) >= MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	if err := r.expect("(", "type"); err != nil {
		return nil, err
	}
	kind, err := r.token(maxTagLen)
	if err != nil {
		return nil, err
	}
	switch string(kind) {
	case "regular":
		return r.regular(path)
	case "directory":
		r.open = append(r.open, openDir{path: path})
		return &Header{Path: path, Type: TypeDirectory}, nil
	case "symlink":
		return r.symlink(path)
	}
	return nil, fmt.Errorf("unknown type %q", kind)
}

func (r *Reader) regular(path string) (*Header, error) {
	h := &Header{Path: path, Type: TypeRegular}
	tag, err := r.token(maxTagLen)
	if err != nil {
		return nil, err
	}
	if string(tag) == "executable" {
		h.Executable = true
		if err := r.expect("", "contents"); err != nil {
			return nil, err
		}
	} else if string(tag) != "contents" {
		return nil, fmt.Errorf("want contents, not %q", tag)
	}
	size, err := r.uint64()
	if err != nil {
		return nil, err
	}
	if size > maxContentLen {
		return nil, fmt.Errorf("contents of %d bytes", size)
	}
	h.Size = int64(size)
	r.inFile, r.size, r.left = true, h.Size, h.Size
	return h, nil
}

func (r *Reader) symlink(path string) (*Header, error) {
	if err := r.expect("target"); err != nil {
		return nil, err
	}
	b, err := r.token(MaxTargetLen)
	if err != nil {
		return nil, err
	}
	target := string(b)
	if err := checkTarget(target); err != nil {
		return nil, err
	}
	if err := r.expect(")"); err != nil {
		return nil, err
	}
	return &Header{Path: path, Type: TypeSymlink, LinkTarget: target}, r.endEntry()
}

// endEntry reads the end of the entry whose node is complete; the root is in
// none.
func (r *Reader) endEntry() error {
	if len(r.open) == 0 {
		return nil
	}
	return r.expect(")")
}

// endFile reads what is left of the file being read, and its end.
func (r *Reader) endFile() error {
	if !r.inFile {
		return nil
	}
	for r.left > 0 {
		n, err := r.br.Discard(int(min(r.left, 1<<30)))
		r.offset += int64(n)
		r.left -= int64(n)
		if err != nil {
			return r.failed(err)
		}
	}
	r.inFile = false
	var zeros [8]byte
	if err := r.full(zeros[:padding(r.size)]); err != nil {
		return err
	}
	if zeros != [8]byte{} {
		return errors.New("padding is not zero")
	}
	if err := r.expect(")"); err != nil {
		return err
	}
	return r.endEntry()
}

// Read reads contents of the regular file that Next returned. After its last
// byte, and where the node is no regular file, it returns io.EOF.
func (r *Reader) Read(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.br.Read(b[:min(int64(len(b)), r.left)])
	r.offset += int64(n)
	r.left -= int64(n)
	if err != nil {
		r.err = r.locate(r.failed(err))
		return n, r.err
	}
	return n, nil
}

// expect reads tokens that must be these.
func (r *Reader) expect(tokens ...string) error {
	for _, want := range tokens {
		got, err := r.token(max(maxTagLen, len(want)))
		if err != nil {
			return err
		}
		if string(got) != want {
			return fmt.Errorf("want %q, not %q", want, got)
		}
	}
	return nil
}

// token reads a string of at most limit bytes, which is valid until the next.
func (r *Reader) token(limit int) ([]byte, error) {
	n, err := r.uint64()
	if err != nil {
		return nil, err
	}
	if n > uint64(limit) {
		return nil, fmt.Errorf("string of %d bytes where at most %d are allowed", n, limit)
	}
	padded := r.scratch[:int64(n)+padding(int64(n))]
	if err := r.full(padded); err != nil {
		return nil, err
	}
	for _, c := range padded[n:] {
		if c != 0 {
			return nil, errors.New("padding is not zero")
		}
	}
	return padded[:n], nil
}

func (r *Reader) uint64() (uint64, error) {
	b := r.scratch[:8]
	if err := r.full(b); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// full reads exactly len(b) bytes.
func (r *Reader) full(b []byte) error {
	n, err := io.ReadFull(r.br, b)
	r.offset += int64(n)
	return r.failed(err)
}

// failed returns err, of the underlying reader, as it is before the end of the
// NAR.
func (r *Reader) failed(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return io.ErrUnexpectedEOF
	}
	r.broken = err != nil
	return err
}

// locate adds to err where in the NAR it is about, if it is about the NAR.
func (r *Reader) locate(err error) error {
	if err == io.EOF {
		return err
	}
	if r.broken {
		return fmt.Errorf("read NAR: %w", err)
	}
	return fault.New(fault.Refused, fmt.Errorf("read NAR: %q at byte %d: %w", r.path, r.offset, err))
}
