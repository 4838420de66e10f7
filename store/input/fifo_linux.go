package input

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// openFIFO opens a FIFO for reading when somebody has opened it for writing, or
// ends with the cause of ctx. An open that blocks could not be called off, so this
// one does not: it then waits for something to read, or for the writer to go.
func openFIFO(ctx context.Context, name string) (*os.File, error) {
	var fd int
	err := fault.Retry(func() (err error) {
		fd, err = unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	if err := awaitWriter(ctx, fd); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

// awaitWriter returns nil when there is something to read from a FIFO, or nothing
// to come. A FIFO that no writer has had since it was opened is neither: the kernel
// tells apart those that have gone and those that have not come.
func awaitWriter(ctx context.Context, fd int) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(ends[0])
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		unix.Close(ends[1])
	})
	defer func() {
		if stop() {
			unix.Close(ends[1])
			return
		}
		<-closed
	}()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(ends[0]), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case err != nil && err != unix.EINTR:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && fds[0].Revents != 0:
			return nil
		}
	}
}
