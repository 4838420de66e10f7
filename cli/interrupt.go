package cli

import (
	"context"
	"io"
	"os"
	"time"
)

// Reads and writes of pipes and terminals block in the kernel, where no
// context reaches them. Files that Go's poller knows have deadlines, though,
// and an open of one's own makes it know them: O_NONBLOCK set on the
// descriptor we were given would be set for all who share it.

// interruptibleReader returns f as a reader that fails with the cause of ctx
// once that is done, if the system has a way to do so.
func interruptibleReader(ctx context.Context, f *os.File) io.Reader {
	if own := reopen(f, os.O_RDONLY); own != nil {
		context.AfterFunc(ctx, func() { own.SetReadDeadline(time.Unix(1, 0)) })
		return &interruptible{ctx, own}
	}
	return f
}

// interruptibleWriter is interruptibleReader for writes.
func interruptibleWriter(ctx context.Context, f *os.File) io.Writer {
	if own := reopen(f, os.O_WRONLY); own != nil {
		context.AfterFunc(ctx, func() { own.SetWriteDeadline(time.Unix(1, 0)) })
		return &interruptible{ctx, own}
	}
	return f
}

// interruptible gives the cause of its context where the file can only say
// that a deadline has passed.
type interruptible struct {
	ctx context.Context
	f   *os.File
}

func (i *interruptible) Read(p []byte) (int, error) {
	n, err := i.f.Read(p)
	return n, i.cause(err)
}

func (i *interruptible) Write(p []byte) (int, error) {
	n, err := i.f.Write(p)
	return n, i.cause(err)
}

func (i *interruptible) cause(err error) error {
	if err != nil && os.IsTimeout(err) {
		return context.Cause(i.ctx)
	}
	return err
}
