package store

import (
	"context"
	"runtime"
	"sync"
)

// ordered calls work for 0 to n-1 from a goroutine for each processor and emit,
// in order and from the caller's, with what each returned, until emit returns
// false. It returns when all goroutines have ended. At most a few results per
// worker wait for their turn.
func ordered[T any](ctx context.Context, n int, work func(ctx context.Context, i int) T, emit func(i int, result T) bool) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	workers := max(1, min(runtime.GOMAXPROCS(0), n))
	type job struct {
		i    int
		done chan T
	}
	todo := make(chan job)
	queue := make(chan job, 4*workers) // the jobs that were begun, in order
	wg.Go(func() {
		defer close(queue)
		defer close(todo)
		for i := range n {
			j := job{i, make(chan T, 1)}
			select {
			case queue <- j:
			case <-ctx.Done():
				return
			}
			select {
			case todo <- j:
			case <-ctx.Done():
				j.done <- work(ctx, i) // it ends at once, and emit may wait for it
				return
			}
		}
	})
	for range workers {
		wg.Go(func() {
			for j := range todo {
				j.done <- work(ctx, j.i)
			}
		})
	}
	for j := range queue {
		if !emit(j.i, <-j.done) {
			return
		}
	}
}
