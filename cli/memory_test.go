package cli

import (
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestBoundMemoryRisesWithWhatIsInUse(t *testing.T) {
	const base, workers = 40 << 20, 3
	limit := func() int64 { return debug.SetMemoryLimit(-1) }
	before := limit()
	synctest.Test(t, func(t *testing.T) {
		a := &app{Env: &Env{Getenv: func(string) string { return "" }}}
		release := a.boundMemory(workers)
		if got := limit(); got != base+workers<<23 {
			t.Errorf("the limit is %d bytes, want 40 MiB and 8 a worker", got)
		}
		inUse := make([]byte, 100<<20)
		runtime.GC()
		time.Sleep(2 * liveEvery)
		if got := limit(); got < 170<<20 || got > 194<<20 {
			t.Errorf("the limit is %d bytes with %d in use", got, len(inUse))
		}
		runtime.KeepAlive(inUse)
		release()
	})
	if got := limit(); got != before {
		t.Errorf("the limit stays %d bytes, and was %d", got, before)
	}
	a := &app{Env: &Env{Getenv: func(name string) string { return map[string]string{"GOMEMLIMIT": "1GiB"}[name] }}}
	a.boundMemory(workers)()
	if got := limit(); got != before {
		t.Errorf("the limit is %d bytes instead of the user's", got)
	}
}
