package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"terrine/builder"
)

const (
	drawEvery  = 100 * time.Millisecond // of a bar
	sparseTick = time.Second            // how often it is looked at whether a line is due
	sayEvery   = 10 * time.Second       // between lines for one stage, where there is no bar
)

// progress shows on stderr how a build goes on: as a bar on a terminal, as a
// line now and then elsewhere. It implements builder.Progress.
//
// Between newProgress and Close a goroutine draws. The app's Stderr is the progress
// in that time, so that what others write there stands above the bar.
type progress struct {
	w       io.Writer // stderr itself
	release func()    // gives it back to the app
	now     func() time.Time
	quiet   bool       // show no stages at all
	bar     bool       // draw a bar; else write sparse lines
	terse   bool       // write none for a stage that does not take long
	columns func() int // of the terminal

	added atomic.Int64 // bytes done in this stage

	mu    sync.Mutex // guards what follows, and w
	stage string     // "" between stages
	total int64
	began time.Time // this stage
	said  time.Time // the last line of this stage, or of any if terse
	drawn bool      // a bar stands on the terminal

	stop chan struct{}
	done chan struct{}
}

var _ builder.Progress = (*progress)(nil)

// newProgress returns the progress that suits the terminal, the environment
// and --quiet. The caller closes it.
func (a *app) newProgress(quiet bool) *progress {
	stderr := a.Stderr
	p := &progress{
		w:       stderr,
		release: func() { a.Stderr = stderr },
		now:     a.Now,
		columns: a.Columns,
		bar:     a.StderrTerminal && a.Columns != nil && a.Getenv("TERM") != "dumb" && a.Getenv("CI") == "",
	}
	a.Stderr = p
	if p.quiet = quiet; quiet {
		return p
	}
	every := sparseTick
	if p.bar {
		every = drawEvery
	}
	p.stop, p.done = make(chan struct{}), make(chan struct{})
	go p.tick(every)
	return p
}

// newTerse returns a progress for what is no build: where there is no bar nothing is
// said of stages that do not take long. On a terminal what is written to the app's
// Stdout stands above the bar too, until Close.
func (a *app) newTerse(quiet bool) *progress {
	p, stdout := a.newProgress(quiet), a.Stdout
	p.terse = true
	if a.StdoutTerminal {
		a.Stdout = &above{p, stdout}
	}
	release := p.release
	p.release = func() {
		release()
		a.Stdout = stdout
	}
	return p
}

func (p *progress) tick(every time.Duration) {
	defer close(p.done)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.refresh()
		}
	}
}

// Close ends the drawing and leaves the terminal clean. It may be called
// more than once.
func (p *progress) Close() {
	if p.stop != nil {
		close(p.stop)
		<-p.done
		p.stop = nil
	}
	if p.release != nil {
		p.release()
		p.release = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.erase(); p.terse {
		p.finish()
	}
}

// Stage implements builder.Progress.
func (p *progress) Stage(name string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
	if p.quiet {
		return
	}
	p.added.Store(0)
	p.stage, p.total, p.began = name, total, p.now()
	if !p.terse || p.said.IsZero() {
		p.said = p.began
	}
}

// Add implements builder.Progress.
func (p *progress) Add(n int64) { p.added.Add(n) }

// Done implements builder.Progress.
func (p *progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

// Write writes whole lines to stderr, above the bar if there is one, and also when
// the progress is quiet.
func (p *progress) Write(lines []byte) (int, error) {
	return (&above{p, p.w}).Write(lines)
}

// above writes whole lines to w above a bar.
type above struct {
	p *progress
	w io.Writer
}

func (a *above) Write(lines []byte) (int, error) {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.erase()
	return a.w.Write(lines)
}

// finish ends the present stage: a bar is erased, elsewhere a line says what
// has been done and how fast, but of a stage that was soon done only if the
// progress is not terse. Called with mu held.
func (p *progress) finish() {
	if p.stage == "" {
		return
	}
	p.erase()
	took := p.now().Sub(p.began)
	if !p.bar && (!p.terse || took >= sayEvery) {
		line := fmt.Sprintf("%s: done in %s", p.stage, seconds(took))
		if n := p.added.Load(); n > 0 {
			line = fmt.Sprintf("%s: %s in %s%s", p.stage, size(n), seconds(took), rate(n, took))
		}
		fmt.Fprintln(p.w, line)
	}
	p.stage = ""
}

// refresh draws the bar anew, or writes a line when one is due.
func (p *progress) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stage == "" {
		return
	}
	now, n := p.now(), p.added.Load()
	if p.bar {
		p.drawn = true
		fmt.Fprintf(p.w, "\r%s\x1b[K", barLine(p.stage, n, p.total, now.Sub(p.began), p.columns()))
		return
	}
	if now.Sub(p.said) >= sayEvery {
		p.said = now
		line := seconds(now.Sub(p.began))
		if counts(n, p.total) {
			line = amount(n, p.total) + ", " + line
		}
		fmt.Fprintf(p.w, "%s: %s\n", p.stage, line)
	}
}

func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// barLine is the line of a stage that has done n of total bytes, cut to fit a
// terminal of that many columns without touching the last, where some wrap.
func barLine(stage string, n, total int64, took time.Duration, columns int) string {
	if columns <= 0 {
		columns = 80
	}
	state := amount(n, total) + rate(n, took)
	if !counts(n, total) {
		state = seconds(took)
	}
	if total > 0 && n > 0 && n < total && took > time.Second {
		left := time.Duration(float64(took) / float64(n) * float64(total-n))
		state += ", " + seconds(left) + " left"
	}
	line := fmt.Sprintf("%-8s %s", stage, state)
	const barWidth, gap = 24, 3
	if total > 0 && len(line)+barWidth+gap < columns {
		full := int(min(n, total) * barWidth / total)
		bar := strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full)
		line = fmt.Sprintf("%-8s [%s] %s", stage, bar, state)
	}
	if len(line) >= columns {
		line = strings.ToValidUTF8(line[:columns-1], "")
	}
	return line
}

// counts tells whether a stage that has done n of total bytes is about bytes at all.
func counts(n, total int64) bool { return n > 0 || total > 0 }

// amount writes "42 % of 1.2 GB", or the bytes alone if the total is unknown.
func amount(n, total int64) string {
	if total <= 0 {
		return size(n)
	}
	return fmt.Sprintf("%3.0f %% of %s", 100*float64(min(n, total))/float64(total), size(total))
}

// rate writes ", 812.0 MB/s", or nothing before it can be told.
func rate(n int64, took time.Duration) string {
	if n == 0 || took < drawEvery {
		return ""
	}
	return fmt.Sprintf(", %s/s", size(int64(float64(n)/took.Seconds())))
}

// seconds writes a duration as people read it.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}
