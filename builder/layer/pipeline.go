package layer

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"terrine/builder/layer/codec"
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
}

// A line is a run of tasks that are finished one after the other, in order.
type line struct {
	next  func() (task, bool) // the tasks in order, one a call
	ahead *task               // the one to be taken next
	taken int                 // number of tasks taken
	ready map[int]*task       // rendered, not finished, by number
	done  int                 // number of tasks finished
	busy  bool                // a worker is finishing tasks of this line
}

// A pipeline renders the tasks of several lines on a few workers. A worker
// takes the next task of the line with the fewest tasks under way; when it has
// rendered one whose turn it is, it finishes it and all that wait behind it.
// So with many lines each worker has a line of its own, and with one line
// they take turns.
//
// A worker takes a buffer before it takes a task. The first unfinished task of
// a line therefore never waits for a buffer, and the others do not wait for
// ever.
type pipeline struct {
	workers int
	prepare func(w *worker, t *task) error // concurrently
	finish  func(t *task) error            // in order within a line
	settle  func(t *task) error            // concurrently, when it is finished; nil for nothing

	mu      sync.Mutex
	cond    sync.Cond
	lines   []*line
	buffers []*buffers // free ones
}

// buffers are what a task is rendered into.
type buffers struct{ raw, coded []byte }

// A worker is what one goroutine keeps from task to task.
type worker struct {
	reader  reader
	encoder *codec.Encoder // nil where nothing is compressed
}

// spareBuffers is how many buffers there are beside those of the workers: so
// many parts may be rendered before their turn.
const spareBuffers = 4

func (p *pipeline) run(ctx context.Context, newWorker func() (*worker, error)) error {
	p.cond.L = &p.mu
	for range p.workers + spareBuffers {
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
			w, err := newWorker()
			if err != nil {
				return err
			}
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
		l, number, t, b := p.take(ctx)
		if t == nil {
			return ctx.Err()
		}
		t.raw, t.coded = b.raw[:0], b.coded[:0]
		if err := p.prepare(w, t); err != nil {
			return err
		}
		b.raw, b.coded = t.raw, t.coded
		if err := p.pass(ctx, l, number, t); err != nil {
			return err
		}
	}
}

// take waits for a buffer and takes a task; t is nil when there is none left.
func (p *pipeline) take(ctx context.Context) (l *line, number int, t *task, b *buffers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, 0, nil, nil
		}
		if l = p.pick(); l == nil {
			return nil, 0, nil, nil
		}
		if n := len(p.buffers); n > 0 {
			b, p.buffers = p.buffers[n-1], p.buffers[:n-1]
			break
		}
		p.cond.Wait()
	}
	t, number = l.ahead, l.taken
	l.taken++
	l.advance()
	if cap(b.raw) == 0 {
		b.raw = make([]byte, 0, partSize)
	}
	return l, number, t, b
}

// pick returns the line with tasks left that has the fewest under way.
func (p *pipeline) pick() (best *line) {
	for _, l := range p.lines {
		if l.ahead != nil && (best == nil || l.taken-l.done < best.taken-best.done) {
			best = l
		}
	}
	return best
}

// pass finishes t if it is t's turn, and then what waited for t; else it leaves
// t to the worker whose task comes before. While one worker settles a task,
// another may finish the next.
func (p *pipeline) pass(ctx context.Context, l *line, number int, t *task) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.ready[number] = t
	for !l.busy {
		t, ok := l.ready[l.done]
		if !ok || ctx.Err() != nil {
			return ctx.Err()
		}
		delete(l.ready, l.done)
		l.busy = true
		p.mu.Unlock()
		err := p.finish(t)
		p.mu.Lock()
		l.busy = false
		if err != nil {
			return err
		}
		l.done++
		if p.settle != nil {
			p.mu.Unlock()
			err = p.settle(t)
			p.mu.Lock()
			if err != nil {
				return err
			}
		}
		p.buffers = append(p.buffers, &buffers{raw: t.raw, coded: t.coded})
		p.cond.Broadcast()
	}
	return nil
}
