package compression

import (
	"bufio"
	"context"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"
)

// A smallWindow is what any reader may have: xz makes no larger one below level 7,
// zstd none below level 20.
const smallWindow = 8 << 20

// Windows bounds what readers that are open at the same time hold among them: of
// streams that want more than 8 MiB of what they have made before, others wait for
// their turn, so that all of these together never hold more than one alone may.
// Any number of goroutines may use it.
type Windows struct{ large *semaphore.Weighted }

// NewWindows returns a Windows that no reader uses yet.
func NewWindows() *Windows { return &Windows{semaphore.NewWeighted(maxWindow)} }

// NewReader is the function NewReader, but may wait until others have come to the end
// of their streams or were closed, or until ctx is done. A stream whose later
// parts want a larger window than its first is an error of class fault.Refused, as is
// one that wants too large a one. Whoever has such a reader open reads on, and waits
// for no other.
func (w *Windows) NewReader(ctx context.Context, f Format, r io.Reader) (io.ReadCloser, error) {
	s := &source{r: r}
	br := bufio.NewReaderSize(s, bufferSize)
	window := wanted(f, br)
	if window <= smallWindow {
		return newReader(f, s, br, smallWindow)
	}
	if err := w.large.Acquire(ctx, window); err != nil {
		return nil, err
	}
	free := func() { w.large.Release(window) }
	d, err := newReader(f, s, br, window)
	if err != nil {
		free()
		return nil, err
	}
	return &largeReader{r: d, free: free}, nil
}

// A largeReader gives back its window at the end of its stream.
type largeReader struct {
	r    io.ReadCloser // nil when it has ended
	err  error
	free func()
}

func (l *largeReader) Read(p []byte) (int, error) {
	if l.r == nil {
		return 0, l.err
	}
	n, err := l.r.Read(p)
	if err != nil {
		l.err = err
		l.Close()
	}
	return n, err
}

func (l *largeReader) Close() error {
	if l.r == nil {
		return nil
	}
	if l.err == nil {
		l.err = io.ErrClosedPipe
	}
	err := l.r.Close()
	l.r = nil
	runtime.GC() // what is next is as large, and would else come on top of it
	l.free()
	return err
}

// wanted returns the window that the stream in br says it needs, without reading it:
// the largest there may be where it cannot be told.
func wanted(f Format, br *bufio.Reader) int64 {
	switch f {
	case XZ:
		head, _ := br.Peek(xzHeader + xzBlockHeader)
		return min(maxDictionary, xzDictionary(head))
	case Zstd:
		return zstdWindow(br)
	}
	return 0 // the others' are of tens or hundreds of KiB
}

// zstdWindow returns the window of the first frame that is not skipped.
func zstdWindow(br *bufio.Reader) int64 {
	skip := 0
	for skip < br.Size() {
		head, _ := br.Peek(min(skip+zstd.HeaderMaxSize, br.Size()))
		var h zstd.Header
		if err := h.Decode(head[min(skip, len(head)):]); err != nil {
			break
		}
		switch {
		case h.Skippable:
			skip += h.HeaderSize + int(min(h.SkippableSize, maxWindow))
		case h.SingleSegment:
			return int64(min(maxWindow, h.FrameContentSize))
		default:
			return int64(min(maxWindow, h.WindowSize))
		}
	}
	return maxWindow
}

// Sizes of what stands before an xz stream's first block, in bytes.
const (
	xzHeader      = 12
	xzBlockHeader = 1024 // at most
)

// xzDictionary returns the size of the dictionary of the first block of an xz
// stream, whose head is given: that of LZMA2, the last filter of each block
// (The .xz File Format 1.2, 3.1 and 5.3.1). It is maxDictionary if there is no block that
// makes sense.
func xzDictionary(head []byte) int64 {
	if len(head) <= xzHeader || head[xzHeader] == 0 {
		return maxDictionary // no block, but perhaps another stream
	}
	b := head[xzHeader:]
	if size := (int(b[0]) + 1) * 4; size < len(b) {
		b = b[:size]
	}
	if len(b) < 2 {
		return maxDictionary
	}
	flags, b := b[1], b[2:]
	skip := 0 // integers: the sizes that the block may tell
	for _, told := range []byte{0x40, 0x80} {
		if flags&told != 0 {
			skip++
		}
	}
	var ok bool
	for range skip {
		if _, b, ok = xzInteger(b); !ok {
			return maxDictionary
		}
	}
	for range flags&3 + 1 {
		var id, n uint64
		if id, b, ok = xzInteger(b); ok {
			n, b, ok = xzInteger(b)
		}
		if !ok || n > uint64(len(b)) {
			return maxDictionary
		}
		const lzma2 = 0x21
		if id == lzma2 && n == 1 && b[0] < 40 {
			return int64(2|b[0]&1) << (b[0]/2 + 11)
		}
		b = b[n:]
	}
	return maxDictionary
}

// xzInteger reads an integer of the xz format (1.2).
func xzInteger(b []byte) (v uint64, rest []byte, ok bool) {
	for i, c := range b[:min(len(b), 9)] {
		v |= uint64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return v, b[i+1:], true
		}
	}
	return 0, b, false
}
