//go:build !linux

package input

import (
	"context"
	"os"
	"syscall"
)

// openFIFO opens a FIFO for reading when somebody has opened it for writing, or
// ends with the cause of ctx: then it opens the FIFO for writing itself, so that
// the open comes to an end. Where it may not, only a second signal ends that.
func openFIFO(ctx context.Context, name string) (*os.File, error) {
	opened, released := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(released)
		if w, err := os.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
			<-opened
			w.Close()
		}
	})
	f, err := os.Open(name)
	close(opened)
	if stop() {
		return f, err
	}
	<-released
	if err == nil {
		f.Close()
	}
	return nil, &os.PathError{Op: "open", Path: name, Err: context.Cause(ctx)}
}
