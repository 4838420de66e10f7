// Package compression reads and writes the compressed streams that store
// objects travel in: the NARs of binary caches, tar files, Debian packages.
// What image layers are compressed with has a room of its own, as those bytes
// are pinned; here only what is inside matters.
//
// Every reader needs a bounded amount of memory, whatever a stream claims to
// need, and none of them holds a stream whole.
package compression

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	xzwriter "github.com/ulikunitz/xz"

	"terrine/store/fault"
)

// Format is a format of compression, by the name that Nix has for it.
type Format string

// The formats. The first four are what binary caches use.
const (
	None  Format = "none"
	XZ    Format = "xz"
	Zstd  Format = "zstd"
	Bzip2 Format = "bzip2"
	Gzip  Format = "gzip" // of tar files
)

// Windows larger than these are refused: a few bytes of header can ask for
// gigabytes. xz -9 uses 64 MiB, zstd --ultra -22 128 MiB.
const (
	maxDictionary = 128 << 20
	maxWindow     = 128 << 20
)

// Parse returns the format that Nix calls name.
func Parse(name string) (Format, error) {
	switch f := Format(name); f {
	case None, XZ, Zstd, Bzip2, Gzip:
		return f, nil
	}
	return "", fault.New(fault.Refused, fmt.Errorf("compression %q is not supported: want none, xz, zstd, bzip2 or gzip", name))
}

// Extension returns what the names of files in the format end in, with a dot;
// "" for None.
func (f Format) Extension() string {
	switch f {
	case XZ:
		return ".xz"
	case Zstd:
		return ".zst"
	case Bzip2:
		return ".bz2"
	case Gzip:
		return ".gz"
	}
	return ""
}

// magic begins a stream of each format.
var magic = [...]struct {
	format Format
	bytes  string
}{
	{XZ, "\xfd7zXZ\x00"},
	{Zstd, "\x28\xb5\x2f\xfd"},
	{Bzip2, "BZh"},
	{Gzip, "\x1f\x8b"},
}

// Detect looks at what comes next in br, without reading it, and tells its
// format: None for what is in none of the others.
func Detect(br *bufio.Reader) (Format, error) {
	head, err := br.Peek(6)
	if err != nil && err != io.EOF {
		return "", err
	}
	if isSkippable(head) {
		return Zstd, nil
	}
	for _, m := range magic {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return m.format, nil
		}
	}
	return None, nil
}

// isSkippable reports whether a zstd stream begins with a skippable frame, as
// those of pzstd do (RFC 8878, 3.1.2).
func isSkippable(head []byte) bool {
	return len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18"
}

// NewReader returns a reader of what is compressed in r. It reads r to its end,
// through all members, frames or streams that stand one after the other. Close
// it to free what it holds; r stays open.
//
// A stream that is damaged, cut off, or that wants too large a window is an
// error of class fault.Refused. An error of r comes back as it is.
func NewReader(f Format, r io.Reader) (io.ReadCloser, error) {
	s := &source{r: r}
	return newReader(f, s, bufio.NewReaderSize(s, bufferSize), maxWindow)
}

// bufferSize is for what is compressed: all decoders like to read bytes.
const bufferSize = 64 << 10

// newReader is NewReader of what br has from s, with windows of at most so many bytes.
func newReader(f Format, s *source, br *bufio.Reader, window int64) (io.ReadCloser, error) {
	d := &decoder{format: f, source: s}
	var err error
	switch f {
	case None:
		d.r = br
	case XZ:
		d.r, err = xz.NewReader(br, uint32(window))
	case Zstd:
		err = d.openZstd(br, window)
	case Bzip2:
		d.r = bzip2.NewReader(br)
	case Gzip:
		d.r, err = gzip.NewReader(br)
	default:
		_, err = Parse(string(f))
		return nil, err
	}
	if err != nil {
		return nil, d.fail(err)
	}
	return d, nil
}

// source remembers an error of the stream below, so that it is not taken for
// one about its contents.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type decoder struct {
	format Format
	source *source
	r      io.Reader
	close  func()
}

func (d *decoder) openZstd(r io.Reader, window int64) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(uint64(window)), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	d.r, d.close = z, z.Close
	return nil
}

func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF {
		err = d.fail(err)
	}
	return n, err
}

func (d *decoder) Close() error {
	if d.close != nil {
		d.close()
	}
	return nil
}

func (d *decoder) fail(err error) error {
	if d.source.err != nil {
		return d.source.err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	text := strings.TrimPrefix(err.Error(), string(d.format)+": ")
	return fault.New(fault.Refused, fmt.Errorf("read %s data: %w", d.format, errors.New(text)))
}

// NewWriter returns a writer that compresses into w. Close ends the stream and
// leaves w open. It is for None, XZ and Zstd; nothing else is worth writing.
func NewWriter(f Format, w io.Writer) (io.WriteCloser, error) {
	switch f {
	case None:
		return uncompressed{w}, nil
	case XZ:
		return xzwriter.NewWriter(w)
	case Zstd:
		// Level 3 of the reference: a cache is written once for many readers,
		// but what waits for it is a person.
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	}
	return nil, fault.New(fault.Refused, fmt.Errorf("writing %s is not supported: want none, xz or zstd", f))
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }
