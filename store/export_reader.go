package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"terrine/store/fault"
	"terrine/store/nar"
)

// exportReader reads what `nix-store --export` writes. As the format has the
// description of an object after its NAR, Next gives the NAR of the next
// object, to be read and kept aside, and Info then says what it was:
//
//	for {
//		nar, err := r.Next()
//		if err == io.EOF {
//			break
//		}
//		…
//		info, err := r.Info()
//	}
//
// An exportReader is for one goroutine, and of no use after an error. One about the
// stream has the class fault.Refused, one of the underlying reader is wrapped.
type exportReader struct {
	source errorKeeper
	br     *bufio.Reader
	nar    *exportedNAR // of the object being read
	count  int          // objects begun
}

// newExportReader returns a reader of the stream r. It buffers; after io.EOF
// from Next all of r has been read.
func newExportReader(r io.Reader) *exportReader {
	e := &exportReader{source: errorKeeper{r: r}}
	e.br = bufio.NewReaderSize(&e.source, 64<<10)
	return e
}

// Next returns the NAR of the next object. That reader checks the NAR as nar.Reader
// does, and ends with it. After the last object, where the input must end too, Next
// returns io.EOF.
func (e *exportReader) Next() (io.Reader, error) {
	more, err := e.number()
	switch {
	case err != nil:
	case more == exportMore:
		e.count++
		e.nar = &exportedNAR{r: nar.Delimit(e.br), sum: newNARSum()}
		return e.nar, nil
	case more == exportEnd:
		err = e.endOfInput()
	case e.count == 0:
		err = errors.New("not a stream of nix-store --export")
	default:
		err = fmt.Errorf("want an object or the end, not the number %d", more)
	}
	return nil, e.locate(err)
}

// endOfInput returns io.EOF, or what is wrong with the end. Nix would silently
// import the first of two concatenated streams.
func (e *exportReader) endOfInput() error {
	_, err := e.br.ReadByte()
	if err == nil {
		return errors.New("data after the end")
	}
	return err
}

// Info returns what the stream says of the object whose NAR Next returned, all of which
// has been read: path, references and deriver; and the hash and size that the NAR had.
// Nothing vouches for any of it.
func (e *exportReader) Info() (*Info, error) {
	info, err := e.trailer()
	if err != nil {
		return nil, e.locate(err)
	}
	return info, nil
}

func (e *exportReader) trailer() (*Info, error) {
	info := &Info{NARHash: e.nar.sum.digest(), NARSize: e.nar.sum.size}
	magic, err := e.number()
	if err != nil {
		return nil, err
	}
	if magic != exportMagic {
		return nil, fmt.Errorf("want the number %#x after the NAR, not %#x", exportMagic, magic)
	}
	if info.Path, err = e.path(); err != nil {
		return nil, err
	}
	if info.References, err = e.references(info.Path.Dir()); err != nil {
		return nil, fmt.Errorf("%s: %w", info.Path, err)
	}
	if info.Deriver, err = e.deriver(info.Path.Dir()); err != nil {
		return nil, fmt.Errorf("%s: deriver: %w", info.Path, err)
	}
	if err := e.signature(); err != nil {
		return nil, fmt.Errorf("%s: signature: %w", info.Path, err)
	}
	return info, nil
}

func (e *exportReader) path() (Path, error) {
	s, err := e.string(maxExportPath)
	if err != nil {
		return "", err
	}
	return ParsePath(s)
}

func (e *exportReader) references(dir Dir) ([]Path, error) {
	n, err := e.number()
	if err != nil {
		return nil, err
	}
	if n > maxExportReferences {
		return nil, fmt.Errorf("%d references: at most %d are allowed", n, maxExportReferences)
	}
	var refs []Path
	bytes := 0
	for range n {
		s, err := e.string(maxExportPath)
		if err != nil {
			return nil, err
		}
		if bytes += len(s); bytes > maxExportReferenceBytes {
			return nil, fmt.Errorf("references of more than %d bytes in all", maxExportReferenceBytes)
		}
		ref, err := dir.ParsePath(s)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return sortedSet(refs), nil
}

func (e *exportReader) deriver(dir Dir) (Path, error) {
	s, err := e.string(maxExportPath)
	if err != nil || s == "" {
		return "", err
	}
	return dir.ParsePath(s)
}

// signature reads past the signature that streams of Nix before 1.12 may have.
func (e *exportReader) signature() error {
	n, err := e.number()
	switch {
	case err != nil:
		return err
	case n == 1:
		_, err := e.string(maxExportSignature)
		return err
	case n != 0:
		return fmt.Errorf("want 0 or 1, not %d", n)
	}
	return nil
}

func (e *exportReader) number() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(e.br, b[:]); err != nil {
		return 0, noEOF(err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

func (e *exportReader) string(limit uint64) (string, error) {
	n, err := e.number()
	if err != nil {
		return "", err
	}
	if n > limit {
		return "", fmt.Errorf("string of %d bytes where at most %d are allowed", n, limit)
	}
	b := make([]byte, (n+7)&^7)
	if _, err := io.ReadFull(e.br, b); err != nil {
		return "", noEOF(err)
	}
	for _, c := range b[n:] {
		if c != 0 {
			return "", errors.New("padding is not zero")
		}
	}
	return string(b[:n]), nil
}

// locate adds to err which object it is about, and its class.
func (e *exportReader) locate(err error) error {
	if err == io.EOF {
		return err
	}
	err = fmt.Errorf("read export: object %d: %w", e.count, err)
	if e.source.err != nil {
		return err
	}
	return fault.New(fault.Refused, err)
}

// noEOF returns err as it is before the end of the stream.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// exportedNAR hashes the NAR that is read through it.
type exportedNAR struct {
	r   io.Reader
	sum *narSum
	err error // of the NAR or of the reader below; nil at the end
}

func (n *exportedNAR) Read(b []byte) (int, error) {
	got, err := n.r.Read(b)
	_, _ = n.sum.Write(b[:got])
	if err != io.EOF {
		n.err = err
	}
	return got, err
}

// errorKeeper remembers an error of a reader, so that it can be told from one
// about what was read.
type errorKeeper struct {
	r   io.Reader
	err error
}

func (k *errorKeeper) Read(b []byte) (int, error) {
	n, err := k.r.Read(b)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}
