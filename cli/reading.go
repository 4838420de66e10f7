package cli

import (
	"context"
	"io"
	"io/fs"
	"path/filepath"

	"terrine/store/input"
)

// openInput opens a file, or stdin for "-". Waiting for it ends with ctx, also
// where it is a FIFO.
func (a *app) openInput(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.Stdin), nil
	}
	file, err := input.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// showReading calls read with what is in in, and shows how far it has come: as a
// bar on a terminal; elsewhere nothing is said of what does not take long.
func (a *app) showReading(quiet bool, stage string, in io.Reader, read func(io.Reader) error) error {
	p := a.newTerse(quiet)
	defer p.Close()
	p.Stage(stage, fileSize(in))
	return read(&shownReader{in, p})
}

// watch begins a stage for a file, and returns its contents such that p is told how
// much is read. It is a planfile.Watch.
func (p *progress) watch(f *input.File) io.Reader {
	p.Stage("read "+shortName(f.Name()), fileSize(f))
	return &shownReader{f, p}
}

// shortName is the last element of a path, or as much of it as leaves room for a bar.
func shortName(path string) string {
	const most = 30
	name := []rune(oneLine(filepath.Base(path)))
	if len(name) > most {
		name = append(name[:most-1], '…')
	}
	return string(name)
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
