package cli

import (
	"io"
	"io/fs"
)

// showReading calls read with what is in in, and shows how far it has come: as a
// bar on a terminal; elsewhere nothing is said of what does not take long.
func (a *app) showReading(stage string, in io.Reader, read func(io.Reader) error) error {
	p := a.newProgress(false)
	defer p.Close()
	p.Stage(stage, fileSize(in))
	return read(&shownReader{in, p})
}

// fileSize returns the size of a regular file, and 0 for anything else.
func fileSize(in io.Reader) int64 {
	file, ok := in.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return 0
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// shownReader tells a progress what is read.
type shownReader struct {
	r io.Reader
	p *progress
}

func (s *shownReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.p.Add(int64(n))
	return n, err
}
