package binarycache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"terrine/store/fault"
)

// narReader reads a NAR out of a cache: file, checked, decompressed, checked.
type narReader struct {
	c    *Cache
	ctx  context.Context
	info *Narinfo

	file    *checkedFile
	decoded io.ReadCloser
	n       int64   // bytes of the NAR
	checks  []check // of it
	err     error
}

func (r *narReader) Read(p []byte) (int, error) {
	if r.err == nil && r.file == nil {
		r.err = r.open()
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.decoded.Read(p)
	r.n += int64(n)
	for _, c := range r.checks {
		c.write(p[:n])
	}
	switch {
	case r.n > r.info.NARSize: // a small file may make any number of bytes
		n, r.err = 0, r.tooLong()
	case err == io.EOF:
		r.err = r.end()
	case err != nil:
		r.err = r.damaged(err)
	}
	if r.err != nil && r.err != io.EOF {
		r.err = fmt.Errorf("read NAR from %s: %w", r.c.location, r.err)
	}
	return n, r.err
}

// Close ends the download.
func (r *narReader) Close() error {
	if r.err == nil || r.err == io.EOF {
		r.err = errors.New("read after close")
	}
	if r.file == nil {
		return nil
	}
	var err error
	if r.decoded != nil {
		err = r.decoded.Close()
	}
	return errors.Join(err, r.file.Close())
}

// explain returns why an import of the NAR failed. A NAR that makes no sense may
// be that of the narinfo, or not: that is then what is wrong.
func (r *narReader) explain(err error) error {
	if code := fault.CodeOf(err); r.err != nil || r.file == nil || code != fault.Refused && code != fault.Integrity {
		return err
	}
	if _, wrong := io.Copy(io.Discard, r); fault.CodeOf(wrong) == fault.Integrity {
		return fmt.Errorf("import %s: %w", r.info.Path, wrong)
	}
	return err
}

func (r *narReader) open() error {
	content, err := judge(&r.info.Info, r.c.o.Keys)
	if err != nil {
		return err
	}
	r.checks = []check{newSum("NAR", r.info.NARHash, r.info.NARSize)}
	if content != nil {
		r.checks = append(r.checks, contentCheck(content))
	}
	f, err := r.c.place.open(r.ctx, r.info.URL)
	if errors.Is(err, errAbsent) {
		return fault.New(fault.Integrity, fmt.Errorf("the narinfo promises %.200q, which the cache does not have", r.info.URL))
	}
	if err != nil {
		return err
	}
	r.file = newCheckedFile(f, r.info, r.c.o.Progress)
	if r.decoded, err = r.c.windows.NewReader(r.ctx, r.info.Compression, r.file); err != nil {
		return r.damaged(err)
	}
	return nil
}

// damaged returns what to say of an error in the contents: that the file is not
// the one promised, if so.
func (r *narReader) damaged(err error) error {
	if fault.CodeOf(err) != fault.Refused {
		return err // of the network or the disk
	}
	if _, drain := io.Copy(io.Discard, r.file); drain != nil {
		return drain // the network, or not the file that was promised
	}
	if r.info.FileHash == "" {
		return fault.New(fault.Integrity, err) // it should be a NAR of known hash
	}
	return err
}

// tooLong returns what to say of a NAR that does not end where it should.
func (r *narReader) tooLong() error {
	if _, drain := io.Copy(io.Discard, r.file); drain != nil {
		return drain // the network, or not the file that was promised
	}
	return fault.New(fault.Integrity, fmt.Errorf("the NAR is longer than the %d bytes announced", r.info.NARSize))
}

// end is called at the end of the NAR.
func (r *narReader) end() error {
	// What the decoder has not looked at belongs to the file nevertheless.
	if _, err := io.Copy(io.Discard, r.file); err != nil {
		return err
	}
	for _, c := range r.checks {
		if err := c.end(); err != nil {
			return err
		}
	}
	return io.EOF
}

// checkedFile compares a file with the narinfo while it is read. It returns
// io.EOF for the file that was promised only.
type checkedFile struct {
	io.ReadCloser
	progress Progress
	limit    int64
	check    check // nil if the narinfo has no hash of the file
	n        int64
}

func newCheckedFile(f io.ReadCloser, info *Narinfo, p Progress) *checkedFile {
	c := &checkedFile{ReadCloser: f, progress: p, limit: info.FileSize}
	if c.limit == 0 {
		// No compressor makes more of a NAR than this.
		c.limit = info.NARSize + info.NARSize/8 + 1<<20
	}
	if info.FileHash != "" {
		c.check = newSum("file", info.FileHash, info.FileSize)
	}
	return c
}

func (f *checkedFile) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.n += int64(n)
	f.progress.Add(int64(n))
	if f.n > f.limit {
		return 0, fault.New(fault.Integrity, fmt.Errorf("the file is longer than the %d bytes announced", f.limit))
	}
	if f.check != nil {
		f.check.write(p[:n])
	}
	if err == io.EOF && f.check != nil {
		if wrong := f.check.end(); wrong != nil {
			return n, wrong
		}
	}
	return n, err
}
