package cli

import "runtime/debug"

// A build stays below 64 MiB of memory and 8 MiB a worker. These are MiB of it for Go's
// heap; the rest is the program itself and the cache's database, which are mapped.
const (
	heapBase   = 40
	heapWorker = 8
)

// boundMemory has garbage collected early enough for a build by so many workers to
// stay within its bound: else there may be as much garbage as there is in use. A
// user's GOMEMLIMIT stands. With tens of thousands of paths what is in use may be
// more by itself, and collecting takes a third more time.
func (a *app) boundMemory(workers int) {
	if a.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(heapBase+heapWorker*workers) << 20)
	}
}
