// Package input opens files that users name, so that a command which waits for one
// can be stopped. A FIFO, as `<(…)` of a shell is, may have no writer for as long as
// one likes, and a writer that says nothing; nobody may type at a terminal.
package input

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"terrine/store/fault"
)

// File is a file to be read. Close it when it is no longer needed.
type File struct {
	ctx  context.Context
	f    *os.File
	stop func() bool
}

// Open opens a file for reading. It waits for the writer of a FIFO. That wait, and
// those of Read for a FIFO or a terminal, end with the cause of ctx when it does. Errors
// of Open say "open NAME". A directory is one of class fault.Refused, and EISDIR.
func Open(ctx context.Context, name string) (*File, error) {
	f, err := open(ctx, name)
	if err != nil {
		return nil, err
	}
	// Go's poller knows what may wait, so that has deadlines; nothing else does.
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	return &File{ctx: ctx, f: f, stop: stop}, nil
}

func open(ctx context.Context, name string) (*os.File, error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return nil, fault.New(fault.Refused, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR})
	case err == nil && info.Mode()&fs.ModeNamedPipe != 0:
		return openFIFO(ctx, name)
	}
	return os.Open(name)
}

// Read reads as an os.File does.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.f.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = context.Cause(f.ctx)
	}
	return n, err
}

// Name returns the name that Open was given.
func (f *File) Name() string { return f.f.Name() }

// Stat returns what the system knows of the file.
func (f *File) Stat() (fs.FileInfo, error) { return f.f.Stat() }

// Close closes the file. Nobody may be reading.
func (f *File) Close() error {
	f.stop()
	return f.f.Close()
}
