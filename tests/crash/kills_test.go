//go:build linux

package crash

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// kills is how many processes `make test` kills.
const kills = 300

// TestKills kills commands at 300 points, chosen anew in each run.
func TestKills(t *testing.T) {
	l := lab(t, "strace")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	killed, missed := killMany(t, l, seed, kills)
	t.Logf("killed %d processes; %d came to their end before", killed, missed)
	if killed < kills {
		t.Errorf("killed only %d processes of %d", killed, kills)
	}
}

// killMany kills n processes, four at a time.
func killMany(t *testing.T, l *Lab, seed uint64, n int) (killed, missed int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	points, err := l.Points(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d points", len(points))
	var mu sync.Mutex
	next := 0
	take := func() (Point, bool) {
		mu.Lock()
		defer mu.Unlock()
		if killed >= n || missed > 4*n+100 {
			return Point{}, false
		}
		next++
		return points[(next-1)%len(points)], true
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for p, ok := take(); ok; p, ok = take() {
				dead, wrong, err := l.Kill(t.Context(), p)
				if err != nil {
					t.Error(err)
				}
				for _, problem := range wrong {
					t.Errorf("killed at %s: %s", p, problem)
				}
				mu.Lock()
				if dead {
					killed++
				} else {
					missed++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return killed, missed
}
