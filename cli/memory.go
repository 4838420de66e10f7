package cli

import "runtime/debug"

// A build stays below 64 MiB of memory and 8 MiB a worker. These are MiB of it for Go's
// heap; the rest is the program itself and the cache's database, which are mapped.
const (
	heapBase   = 40
	heapWorker = 8
)

// boundMemory has garbage collected in time for a build by so many workers to stay within
// its bound. Garbage is let grow to twice what is in use else. A user's GOMEMLIMIT
// stands. What is in use itself may be more, of a closure of tens of thousands of paths; to
// look for garbage then takes a third more time.
func (a *app) boundMemory(workers int) {
	if a.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(heapBase+heapWorker*workers) << 20)
	}
}
