package layer

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A task is a part on its way: rendered by any worker, then finished in the
// order of its line.
type task struct {
	run    *segmentRun
	part   part
	index  int   // of the part in its segment
	layer  int   // index of the layer that it belongs to
	offset int64 // of the part in its layer
	last   bool  // of its layer
	place  int64 // where its encoded bytes go
	raw    []byte
	coded  []byte // what a codec made of raw
	sum    Sum    // of raw
	summed bool   // whether that is known
}

// A line is a run of tasks that are finished one after the other, in order.
type line struct {
	next  func() (task, bool) // the tasks in order, one a call
	size  int64               // bytes of all tasks
	ahead *task               // the one to be taken next
	taken int                 // number of tasks taken
	ready map[int]*task       // rendered, not finished, by number
	done  int                 // number of tasks finished
	busy  bool                // a worker is finishing tasks of this line
}

// A pipeline renders the tasks of several lines on a few workers. A worker
// takes the next task of the line with the fewest tasks under way, and with it
// the next of another line if there is one; when it has rendered one whose turn
// it is, it finishes it and all that wait behind it. So with many lines each
// worker has two lines of its own, whose tasks it finishes together, and with one
// line the workers take turns.
//
// A worker waits for a buffer before it takes a task, and never holds a task
// while it waits. The first unfinished task of a line therefore never waits for a
// buffer, and the others do not wait for ever. For an encoder it waits with tasks
// in hand: those who have the encoders wait for nothing.
type pipeline struct {
	workers int
	prepare func(ctx context.Context, w *worker, t *task) error // concurrently
	// finish finishes one task, or two of different lines; in order within a line.
	finish func(t, u *task) error
	// settle writes a finished task to its place, one at a time beside all else: a
	// file takes one write after the other anyway. It is nil for nothing.
	settle func(t *task) error

	mu      sync.Mutex
	cond    sync.Cond
	lines   []*line
	buffers []*buffers // free ones

	finished []*task // and not settled
	settling bool    // a worker is settling
}

// buffers are what a task is rendered into.
type buffers struct{ raw, coded []byte }

// A worker is what one goroutine keeps from task to task.
type worker struct{ reader reader }

const (
	// lanes is how many tasks a worker has at most.
	lanes = 2

	// spareBuffers is how many buffers there are beside those of the workers: so
	// many parts may be rendered before their turn.
	spareBuffers = 4
)

func (p *pipeline) run(ctx context.Context, newWorker func() *worker) error {
	p.cond.L = &p.mu
	for range p.workers*min(lanes, len(p.lines)) + spareBuffers {
		p.buffers = append(p.buffers, &buffers{})
	}
	for _, l := range p.lines {
		l.ready = map[int]*task{}
		l.advance()
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cond.Broadcast()
	})
	defer stop()
	for range p.workers {
		g.Go(func() error {
			w := newWorker()
			defer w.reader.dirs.close()
			return p.work(ctx, w)
		})
	}
	return g.Wait()
}

func (l *line) advance() {
	if t, ok := l.next(); ok {
		l.ahead = &t
	} else {
		l.ahead = nil
	}
}

func (p *pipeline) work(ctx context.Context, w *worker) error {
	for {
		taken := p.take(ctx)
		if len(taken) == 0 {
			return ctx.Err()
		}
		for _, t := range taken {
			if err := p.prepare(ctx, w, t.task); err != nil {
				return err
			}
		}
		if err := p.pass(ctx, taken); err != nil {
			return err
		}
	}
}

// A taken task is one that a worker renders.
type taken struct {
	*task
	line   *line
	number int // within its line
}

// take waits for a buffer and takes a task, and another of another line if that
// needs no waiting. It returns none when there is none left.
func (p *pipeline) take(ctx context.Context) (all []taken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		l := p.pick(nil)
		if l == nil || ctx.Err() != nil {
			return nil
		}
		if len(p.buffers) > 0 {
			all = append(all, p.takeFrom(l))
			break
		}
		p.cond.Wait()
	}
	if l := p.pick(all[0].line); l != nil && len(p.buffers) > 0 {
		all = append(all, p.takeFrom(l))
	}
	return all
}

func (p *pipeline) takeFrom(l *line) taken {
	b := p.buffers[len(p.buffers)-1]
	p.buffers = p.buffers[:len(p.buffers)-1]
	t := taken{task: l.ahead, line: l, number: l.taken}
	t.raw, t.coded = b.raw[:0], b.coded[:0]
	l.taken++
	l.advance()
	return t
}

// pick returns the line with tasks left that has the fewest under way, other than
// the one given.
func (p *pipeline) pick(other *line) (best *line) {
	for _, l := range p.lines {
		if l.ahead != nil && l != other && (best == nil || l.taken-l.done < best.taken-best.done) {
			best = l
		}
	}
	return best
}

// pass finishes those tasks whose turn it is, and then what waited for them; the
// others it leaves to the workers whose tasks come before. While one worker
// settles a task, another may finish the next.
func (p *pipeline) pass(ctx context.Context, tasks []taken) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range tasks {
		t.line.ready[t.number] = t.task
	}
	for {
		due := p.due(tasks)
		if len(due) == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		if err := p.finishAll(due); err != nil {
			return err
		}
	}
}

// due takes from the lines of tasks what is to be finished now.
func (p *pipeline) due(tasks []taken) (due []taken) {
	for _, t := range tasks {
		l := t.line
		if next, ok := l.ready[l.done]; ok && !l.busy {
			delete(l.ready, l.done)
			l.busy = true
			due = append(due, taken{task: next, line: l})
		}
	}
	return due
}

// finishAll finishes tasks of different lines. It is called with the lock, and
// gives it up meanwhile.
func (p *pipeline) finishAll(due []taken) error {
	p.mu.Unlock()
	var second *task
	if len(due) > 1 {
		second = due[1].task
	}
	err := p.finish(due[0].task, second)
	p.mu.Lock()
	if err != nil {
		return err // and leave the lines busy: nothing may follow
	}
	for _, t := range due {
		t.line.busy = false
		t.line.done++
	}
	for _, t := range due {
		p.finished = append(p.finished, t.task)
	}
	return p.settleAll()
}

// settleAll settles what is finished, unless another worker is at it, which then
// settles this too. It is called with the lock, and gives it up meanwhile.
func (p *pipeline) settleAll() error {
	if p.settling {
		return nil
	}
	p.settling = true
	for len(p.finished) > 0 {
		t := p.finished[0]
		p.finished = p.finished[1:]
		if p.settle != nil {
			p.mu.Unlock()
			err := p.settle(t)
			p.mu.Lock()
			if err != nil {
				return err // and leave settling: nothing may follow
			}
		}
		p.buffers = append(p.buffers, &buffers{raw: t.raw, coded: t.coded})
		p.cond.Broadcast()
	}
	p.settling = false
	return nil
}
