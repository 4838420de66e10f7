package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// open finds out whether an output is a file or a stream, and opens a stream that
// has a name. The caller calls done when nothing is written any more.
func (o *Output) open(ctx context.Context) (done func() error, err error) {
	done = func() error { return nil }
	if o.Path == "" {
		o.stream = &stream{w: o.Writer}
		return done, nil
	}
	path, named := o.Path, true
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if to, err := os.Readlink(path); err == nil {
		if _, err := os.Stat(path); err != nil {
			return nil, refused(fmt.Errorf("write %s: it is a symlink to %s, which is not there", path, to))
		}
		named = false // it leads to a file without a name, as /dev/stdout may
	}
	if st, err := os.Stat(path); named && (err != nil || st.Mode().IsRegular()) {
		o.Path = path
		return done, nil
	}
	p, err := openPipe(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", o.Path, withoutName(err))
	}
	o.stream = &stream{w: p}
	return p.Close, nil
}

// A stream is an output that cannot be written anew, such as a pipe. When an image
// has to be made a second time, it does not get what it has already.
type stream struct {
	w     io.Writer
	image digest.Digest // which is being written
	sent  int64         // bytes that w has
	skip  int64         // bytes to come that w has
}

// begin says which image comes. It has to be the one that was begun, if anything
// of that was sent.
func (s *stream) begin(image digest.Digest) error {
	if s.sent > 0 && s.image != image {
		err := fmt.Errorf("write image: it is %s, and %d bytes of %s have been written", image, s.sent, s.image)
		return fault.New(fault.Refused, fault.Hint(err, "a store path changed meanwhile; find what writes to it, or verify the store"))
	}
	s.image, s.skip = image, s.sent
	return nil
}

func (s *stream) Write(p []byte) (int, error) {
	known := int(min(s.skip, int64(len(p))))
	s.skip -= int64(known)
	if known == len(p) {
		return known, nil
	}
	n, err := s.w.Write(p[known:])
	s.sent += int64(n)
	return known + n, err
}

// A pipe is a pipe or device that was opened by its name.
type pipe struct {
	ctx context.Context
	f   *os.File
}

// openPipe opens the pipe or device at path for writing. Whether it waits for a
// reader or for one to go on reading, it ends when ctx does.
func openPipe(ctx context.Context, path string) (*pipe, error) {
	opened := make(chan struct{})
	released := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(released)
		// Whoever waits for a reader gets one.
		if fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0); err == nil {
			<-opened
			unix.Close(fd)
		}
	})
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	close(opened)
	if !stop() {
		<-released
		if err == nil {
			f.Close()
		}
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &pipe{ctx, f}, nil
}

// withoutName returns what a file has met. Output.Path says which it was, in the words
// of the user.
func withoutName(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// Write ends with the cause of the context where that ends first.
func (p *pipe) Write(b []byte) (int, error) {
	// Devices that know no deadlines do not block for long.
	stop := context.AfterFunc(p.ctx, func() { _ = p.f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	n, err := p.f.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = context.Cause(p.ctx)
	}
	return n, withoutName(err)
}

func (p *pipe) Close() error { return p.f.Close() }
