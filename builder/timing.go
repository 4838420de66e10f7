package builder

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Names of the phases of a build that are no stages of the archive. Those are
// phases as well.
const (
	PhaseSpec     = "spec"     // read what is asked for
	PhaseClosure  = "closure"  // find the closure; bytes of NARs
	PhasePlan     = "plan"     // divide it, and make the keys of layers
	PhaseLookup   = "lookup"   // ask the memo for the layers, and complete the image of what is known
	PhaseScan     = "scan"     // join the root layer, and find out what is to be read
	PhaseRemember = "remember" // tell the memo what was found out
)

// A Timing notes how long each phase takes, one after the other, and how often
// the cache had what it was asked for. A nil Timing notes nothing. Only the
// counting of bytes and lookups is for several goroutines at once.
type Timing struct {
	now   func() time.Time
	bytes atomic.Int64 // of the open phase

	mu      sync.Mutex
	phases  []Phase
	name    string // of the open phase; "" for none
	began   time.Time
	lookups map[string]Lookups
}

// A Phase is a phase that has ended.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"` // that it handled; 0 where it is not about bytes
}

// Lookups says how often a cache had what it was asked for.
type Lookups struct {
	Hits   int `json:"hits"`
	Misses int `json:"misses"`
}

// Kinds of lookups, beside those that a memo.Memo counts itself.
const (
	lookupLayer  = "layer"  // a layer's digest
	lookupOutput = "output" // whether the output holds the image already
)

// NewTiming returns a Timing by the given clock.
func NewTiming(now func() time.Time) *Timing {
	return &Timing{now: now, lookups: map[string]Lookups{}}
}

// Begin begins a phase and ends the one before it. The phase that is open
// already goes on.
func (t *Timing) Begin(name string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if name == t.name {
		return
	}
	now := t.now()
	t.end(now)
	t.name, t.began = name, now
}

// End ends the open phase.
func (t *Timing) End() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(t.now())
}

// end is End at the given time, with mu held.
func (t *Timing) end(now time.Time) {
	n := t.bytes.Swap(0)
	if t.name == "" {
		return
	}
	t.phases = append(t.phases, Phase{Name: t.name, Seconds: now.Sub(t.began).Seconds(), Bytes: n})
	t.name = ""
}

// add says that n more bytes of the open phase are done.
func (t *Timing) add(n int64) {
	if t != nil {
		t.bytes.Add(n)
	}
}

// looked notes lookups of a kind.
func (t *Timing) looked(kind string, hits, misses int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lookups[kind]
	t.lookups[kind] = Lookups{l.Hits + hits, l.Misses + misses}
}

// Phases returns the phases that have ended, in their order. A name can come
// twice: a build that finds its cache outdated begins again.
func (t *Timing) Phases() []Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Phase{}, t.phases...)
}

// Lookups returns what the cache was asked for, by kind. What it was not asked
// for is not among it; it is nil where there was no cache to ask.
func (t *Timing) Lookups() map[string]Lookups {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lookups) == 0 {
		return nil
	}
	return maps.Clone(t.lookups)
}

// timed is a Progress that has its stages timed.
type timed struct {
	Progress
	timing *Timing
}

func (t timed) Stage(name string, total int64) {
	t.timing.Begin(name)
	t.Progress.Stage(name, total)
}

func (t timed) Add(n int64) {
	t.timing.add(n)
	t.Progress.Add(n)
}
