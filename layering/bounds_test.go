package layering

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestBounds plans closures of up to 100,000 paths and holds time and memory
// against what they may be. For `make bench-layering`: a machine that does
// something else as well would fail it.
func TestBounds(t *testing.T) {
	if os.Getenv("TERRINE_BENCH_LAYERING") == "" {
		t.Skip("for make bench-layering")
	}
	for _, c := range []struct {
		strategy string
		paths    int
		most     time.Duration
		nodes    func(n int) []Node
	}{
		{UpdateCost, 300, 30 * time.Millisecond, largeNodes}, {UpdateCost, 5_000, time.Second, largeNodes},
		{UpdateCost, 20_000, 800 * time.Millisecond, largeNodes}, {UpdateCost, 100_000, 15 * time.Second, largeNodes},
		{SizeFirst, 100_000, 2 * time.Second, largeNodes}, {Popularity, 100_000, 2 * time.Second, largeNodes},
		{UpdateCost, 20_000, 2 * time.Second, widelyUsed}, {UpdateCost, 100_000, 15 * time.Second, widelyUsed},
		{UpdateCost, 5_000, time.Second, alike}, {UpdateCost, 5_000, 2 * time.Second, chained},
	} {
		g := mustGraph(t, c.nodes(c.paths))
		best := time.Hour // of three: the others measure what else runs
		for range 3 {
			start := time.Now()
			plan(t, g, Options{Strategy: c.strategy})
			best = min(best, time.Since(start))
		}
		t.Logf("%-12s %7d paths %8d references %8.3f s, at most %6.3f s", c.strategy, g.Len(), len(g.refs.to), best.Seconds(), c.most.Seconds())
		if best > c.most {
			t.Errorf("%s takes %v for %d paths, want at most %v", c.strategy, best, c.paths, c.most)
		}
	}
	const most = 1 << 30
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("memory: %d MiB from the system, at most %d MiB", m.Sys>>20, most>>20)
	if m.Sys > most {
		t.Errorf("plans took %d bytes from the system, want at most %d", m.Sys, most)
	}
}

// Memory grows with the paths and not with their square: sets of as many bits
// as there are paths, one for each, would take 200 MB here.
func TestPlanAllocatesLittle(t *testing.T) {
	const paths, most = 40_000, 4_000 // bytes for each path
	unrelated := largeNodes(paths)
	for i := range unrelated {
		unrelated[i].References = nil
	}
	for name, nodes := range map[string][]Node{"related": largeNodes(paths), "unrelated": unrelated} {
		g := mustGraph(t, nodes)
		for _, s := range Strategies() {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := Plan(context.Background(), g, Options{Strategy: s}); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if each := (after.TotalAlloc - before.TotalAlloc) / paths; each > most {
				t.Errorf("%s, of %s paths, allocates %d bytes for each, want at most %d", s, name, each, most)
			} else {
				t.Logf("%s, %s: %d bytes for each path", s, name, each)
			}
		}
	}
}
