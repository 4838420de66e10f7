package cli

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// A build stays below 64 MiB of memory and 8 MiB a worker. These are MiB of it for Go's
// heap; the rest is the program itself and the cache's database, which are mapped.
const (
	heapBase   = 40
	heapWorker = 8
)

// liveEvery is how often it is looked at how much of the heap is in use.
const liveEvery = 20 * time.Millisecond

// boundMemory has garbage collected early enough for a build by so many workers to
// stay within its bound: else there may be as much garbage as there is in use. With
// tens of thousands of paths what is in use is more by itself; the limit rises with
// it, since a heap that is at its limit is collected all the time, for nothing. A
// user's GOMEMLIMIT stands. The caller calls release when the build is done.
func (a *app) boundMemory(workers int) (release func()) {
	if a.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	limit := int64(heapBase+heapWorker*workers) << 20
	before := debug.SetMemoryLimit(limit)
	done := make(chan struct{})
	var raising sync.WaitGroup
	raising.Go(func() {
		tick := time.NewTicker(liveEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if least := limitFor(liveHeap()); least > limit {
					limit = least
					debug.SetMemoryLimit(limit)
				}
			}
		}
	})
	return func() {
		close(done)
		raising.Wait()
		debug.SetMemoryLimit(before)
	}
}

// limitFor is the least limit, in bytes, under which a heap with so many bytes in use
// is not collected too often. It is above that of one worker from 39 MiB in use, which
// 50,000 paths do not have; 100,000 have 48.
func limitFor(live int64) int64 { return 2*live - 30<<20 }

// liveHeap is how many bytes the last collection left.
func liveHeap() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
