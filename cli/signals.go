package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// WithSignals returns a context that ends, with a Signal as its cause, when
// the process is told to stop. That happens once: the next signal kills the
// process, should it not stop by itself. The caller calls stop when it is
// done.
//
// From then on a write to a closed pipe is an error (EPIPE) and not the death
// of the process, so that temporary files are removed also then.
func WithSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	// A handler that nobody reads, where signal.Ignore would do too: but
	// what is ignored stays so in the processes that we start.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(stops, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-stops:
			signal.Stop(stops)
			cancel(Signal{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-done
		signal.Stop(stops)
		signal.Stop(pipes)
	}
}
