package nar

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

var errTooLong = errors.New("write NAR: more contents than the header's size")

// Writer writes one NAR: WriteHeader for each node, Write for the contents of
// each regular file, Close at the end. A directory's header stands before those
// of its entries, which stand in byte order of their names.
//
// A Writer is for one goroutine. Its first error sticks.
type Writer struct {
	enc     *encoder
	open    []openDir // the directories in which the next node may stand
	started bool
	current int64 // size of the file being written
	left    int64 // bytes that Write is still to get
	inFile  bool
	closed  bool
	err     error
}

// openDir is a directory whose entries are being written or read.
type openDir struct {
	path string
	last string // name of the latest entry; "" before the first
}

// child returns the path of the entry called name.
func (d openDir) child(name string) string {
	if d.path == "" {
		return name
	}
	return d.path + "/" + name
}

// NewWriter returns a Writer to w. It buffers: what was written is in w after
// Close, which does not close w.
func NewWriter(w io.Writer) *Writer { return &Writer{enc: newEncoder(w)} }

// WriteHeader writes h. The first header is that of the root, with the path "".
// It is an error to come before the contents of the file before are complete,
// below a path that is not an open directory, or in a directory out of order.
func (w *Writer) WriteHeader(h *Header) error {
	if w.err != nil {
		return w.err
	}
	if err := w.writeHeader(h); err != nil {
		w.err = fmt.Errorf("write NAR: %q: %w", h.Path, err)
	}
	return w.err
}

func (w *Writer) writeHeader(h *Header) error {
	if w.closed {
		return errors.New("the NAR is closed")
	}
	if err := h.check(); err != nil {
		return err
	}
	if err := w.endFile(); err != nil {
		return err
	}
	if err := w.place(h.Path); err != nil {
		return err
	}
	switch h.Type {
	case TypeDirectory:
		w.enc.raw(tokOpen + tokType + tokDirectory)
		w.open = append(w.open, openDir{path: h.Path})
	case TypeSymlink:
		w.enc.symlink(h.LinkTarget)
		w.endEntry()
	case TypeRegular:
		w.enc.regular(h.Size, h.Executable)
		w.inFile, w.current, w.left = true, h.Size, h.Size
	}
	return w.enc.err
}

// place closes the directories that path is not in, and begins its entry.
func (w *Writer) place(path string) error {
	if !w.started {
		if path != "" {
			return errors.New("the first node of a NAR is its root")
		}
		w.started = true
		w.enc.raw(tokMagic)
		return nil
	}
	slash := strings.LastIndexByte(path, '/')
	if slash == 0 {
		return errors.New("path begins with a slash")
	}
	parent, name := path[:max(slash, 0)], path[slash+1:]
	for len(w.open) > 0 && w.open[len(w.open)-1].path != parent {
		w.endDir()
	}
	if len(w.open) == 0 {
		return fmt.Errorf("%q is not the directory being written, nor one above it", parent)
	}
	if len(w.open) >= MaxDepth {
		return fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	dir := &w.open[len(w.open)-1]
	if err := checkName(name); err != nil {
		return err
	}
	if name <= dir.last {
		return fmt.Errorf("name is not after %q in byte order", dir.last)
	}
	dir.last = name
	w.enc.entry(name)
	return nil
}

// Write writes contents of the file whose header was written last. What is beyond
// its size, or comes where there is no file, is an error.
func (w *Writer) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n := min(int64(len(b)), w.left)
	if err := w.enc.write(b[:n]); err != nil {
		w.err = fmt.Errorf("write NAR: %w", err)
		return 0, w.err
	}
	w.left -= n
	if n < int64(len(b)) {
		w.err = errTooLong
	}
	return int(n), w.err
}

// Close ends the NAR and writes what is buffered. A second Close does nothing.
func (w *Writer) Close() error {
	if w.closed || w.err != nil {
		return w.err
	}
	err := w.endFile()
	if err == nil && !w.started {
		err = errors.New("a NAR has at least one node")
	}
	for len(w.open) > 0 {
		w.endDir()
	}
	w.closed = true
	if err == nil {
		err = w.enc.flush()
	}
	if err != nil {
		w.err = fmt.Errorf("write NAR: close: %w", err)
	}
	return w.err
}

// endFile ends the file being written, if there is one.
func (w *Writer) endFile() error {
	if !w.inFile {
		return nil
	}
	if w.left > 0 {
		return fmt.Errorf("%d of %d bytes of the file before are missing", w.left, w.current)
	}
	w.inFile = false
	w.enc.regularEnd(w.current)
	w.endEntry()
	return nil
}

// endDir ends the innermost open directory, and the entry that it is.
func (w *Writer) endDir() {
	w.open = w.open[:len(w.open)-1]
	w.enc.raw(tokClose)
	w.endEntry()
}

// endEntry ends the entry of a node that is complete; the root is in none.
func (w *Writer) endEntry() {
	if len(w.open) > 0 {
		w.enc.raw(tokClose)
	}
}
