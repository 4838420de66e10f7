package cli

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a clock that stands still until it is told to go on.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// drawer returns a progress whose refresh only the test calls.
func drawer(bar bool) (*progress, *clock, *bytes.Buffer) {
	c, out := newClock(), new(bytes.Buffer)
	return &progress{w: out, now: c.now, bar: bar, columns: func() int { return 80 }}, c, out
}

// onTerminal returns an app of which stdout and stderr are one terminal.
func onTerminal() (*app, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return &app{&Env{
		Stdout: out, Stderr: out, Now: newClock().now, StdoutTerminal: true, StderrTerminal: true,
		Columns: func() int { return 80 }, Getenv: func(string) string { return "" },
	}}, out
}

// onlyByHand ends the goroutine that draws: only the test does from then on.
func (p *progress) onlyByHand() {
	close(p.stop)
	<-p.done
	p.stop = nil
}

func TestProgressSparseLines(t *testing.T) {
	p, c, out := drawer(false)
	p.Stage("scan", 0)
	c.add(1500 * time.Millisecond)
	p.refresh()
	p.Stage("sync", 0)
	c.add(12 * time.Second)
	p.refresh()
	p.Stage("pack", 4e9)
	for range 25 {
		p.Add(1e8)
		c.add(time.Second)
		p.refresh()
	}
	p.Done()
	p.Close()
	const want = `scan: done in 1.5 s
sync: 12 s
sync: done in 12 s
pack:  25 % of 4.0 GB, 10 s
pack:  50 % of 4.0 GB, 20 s
pack: 2.5 GB in 25 s, 100.0 MB/s
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestTerseProgress: there is a line when one is due, however many stages there were
// since the last, and one for a stage that took long.
func TestTerseProgress(t *testing.T) {
	p, c, out := drawer(false)
	p.terse = true
	for name := range strings.FieldsSeq("one two three four") {
		p.Stage(name, 2e9)
		for range 2 {
			c.add(2 * time.Second)
			p.Add(5e8)
			p.refresh()
		}
	}
	p.Stage("five", 0)
	c.add(9 * time.Second)
	p.Stage("six", 0)
	c.add(10 * time.Second)
	p.Done()
	p.Stage("seven", 0)
	c.add(20 * time.Second)
	p.Close()
	const want = `three:  25 % of 2.0 GB, 2.0 s
six: done in 10 s
seven: done in 20 s
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestResultsStandAboveTheBar: on a terminal both are seen in one place.
func TestResultsStandAboveTheBar(t *testing.T) {
	a, out := onTerminal()
	p := a.newTerse(false)
	p.onlyByHand()
	p.Stage("verify", 1000)
	p.refresh()
	out.Reset()
	fmt.Fprintln(a.Stdout, "x: damaged")
	if got, want := out.String(), "\r\x1b[Kx: damaged\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	if p.Close(); a.Stdout != out {
		t.Errorf("after the end stdout is %v", a.Stdout)
	}
}

func TestProgressBarIsErased(t *testing.T) {
	p, c, out := drawer(true)
	p.Stage("pack", 1000)
	c.add(2 * time.Second)
	p.Add(500)
	p.refresh()
	const line = "pack     [============            ]  50 % of 1.0 kB, 250 B/s, 2.0 s left"
	if got, want := out.String(), "\r"+line+"\x1b[K"; got != want {
		t.Fatalf("drew %q, want %q", got, want)
	}
	out.Reset()
	fmt.Fprintln(p, "warning: x")
	if got, want := out.String(), "\r\x1b[Kwarning: x\n"; got != want {
		t.Errorf("Write wrote %q, want %q", got, want)
	}
	p.refresh()
	out.Reset()
	p.Done()
	p.refresh()
	p.Close()
	if got, want := out.String(), "\r\x1b[K"; got != want {
		t.Errorf("the end wrote %q, want only %q", got, want)
	}
}

// TestOthersWriteAboveTheBar: a warning, or what is waited for, is no part of the bar's line.
func TestOthersWriteAboveTheBar(t *testing.T) {
	a, out := onTerminal()
	p := a.newProgress(false)
	p.onlyByHand()
	p.Stage("copy", 1000)
	p.refresh()
	out.Reset()
	a.say("waiting for x")
	if got, want := out.String(), "\r\x1b[Kwaiting for x\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	p.Close()
	out.Reset()
	if a.say("done"); out.String() != "done\n" {
		t.Errorf("after the end wrote %q", out)
	}
}

// TestBarLineOfNoBytes: what counts none shows how long it takes, and not "0 B".
func TestBarLineOfNoBytes(t *testing.T) {
	if got, want := barLine("scan", 0, 0, 3200*time.Millisecond, 80), "scan     3.2 s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBarLineOfLetters: a letter takes one column, however many bytes it has.
func TestBarLineOfLetters(t *testing.T) {
	got, want := barLine("é", 50, 100, 0, 80), strings.Replace(barLine("e", 50, 100, 0, 80), "e", "é", 1)
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBarLineFits(t *testing.T) {
	for columns := range 200 {
		line := barLine("compress", 123456789, 999999999999, 90*time.Second, columns)
		if columns > 1 && len(line) >= columns {
			t.Errorf("%d columns: line of %d: %q", columns, len(line), line)
		}
		if strings.ContainsAny(line, "\n\r") {
			t.Errorf("%d columns: %q is no line", columns, line)
		}
	}
}

func TestNewProgressChoosesForm(t *testing.T) {
	cases := []struct {
		name     string
		terminal bool
		env      map[string]string
		bar      bool
	}{
		{"terminal", true, nil, true},
		{"file", false, nil, false},
		{"dumb terminal", true, map[string]string{"TERM": "dumb"}, false},
		{"continuous integration", true, map[string]string{"CI": "true"}, false},
		{"no color keeps the bar", true, map[string]string{"NO_COLOR": "1"}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := &app{&Env{
				Stderr: new(bytes.Buffer), Now: newClock().now, StderrTerminal: c.terminal,
				Columns: func() int { return 80 }, Getenv: func(k string) string { return c.env[k] },
			}}
			p := a.newProgress(false)
			defer p.Close()
			if p.bar != c.bar {
				t.Errorf("bar = %v, want %v", p.bar, c.bar)
			}
		})
	}
}

func TestQuietProgressSaysNothing(t *testing.T) {
	out := new(bytes.Buffer)
	c := newClock()
	a := &app{&Env{Stderr: out, Now: c.now, Getenv: func(string) string { return "" }}}
	p := a.newProgress(true)
	p.Stage("pack", 10)
	p.Add(10)
	c.add(time.Minute)
	p.refresh()
	p.Done()
	if out.Len() > 0 {
		t.Errorf("wrote %q", out)
	}
	a.say("warning: x")
	if p.Close(); out.String() != "warning: x\n" {
		t.Errorf("a warning became %q", out)
	}
}

// TestProgressConcurrent is for the race detector: builders call Add from all
// their workers while the goroutine of newProgress draws.
func TestProgressConcurrent(t *testing.T) {
	a := &app{&Env{
		Stderr: new(bytes.Buffer), Now: time.Now, StderrTerminal: true,
		Columns: func() int { return 80 }, Getenv: func(string) string { return "" },
	}}
	p := a.newProgress(false)
	p.Stage("pack", 8000)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 1000 {
				p.Add(1)
			}
		})
	}
	workers.Wait()
	p.refresh()
	p.Done()
	p.Close()
	p.Close()
	if got := p.added.Load(); got != 8000 {
		t.Errorf("added %d, want 8000", got)
	}
}
