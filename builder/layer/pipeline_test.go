package layer

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

// TestNothingFollowsAnError: when a task has failed, those of its line that are
// ready are not finished as if it had not.
func TestNothingFollowsAnError(t *testing.T) {
	failure := errors.New("disk full")
	p := &pipeline{finish: func(*task, *task) error { return failure }}
	p.cond.L = &p.mu
	tasks := []taken{{line: &line{ready: map[int]*task{0: {}, 1: {}}}}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.finishAll(p.due(tasks)); !errors.Is(err, failure) {
		t.Errorf("error %v, want %v", err, failure)
	}
	if due := p.due(tasks); len(due) > 0 {
		t.Errorf("%d tasks are due after one that failed", len(due))
	}
}

// TestPipelineEndsWithItsContext even if there are always more tasks.
func TestPipelineEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &pipeline{
		workers: 2,
		lines:   []*line{{next: func() (task, bool) { return task{}, true }}},
		prepare: func(context.Context, *worker, *task) error { return nil },
		finish:  func(_, _ *task) error { cancel(); return nil },
	}
	if err := p.run(ctx, func() *worker { return &worker{} }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestSettling: tasks are settled one at a time, all of them, in the order in which
// they were finished.
func TestSettling(t *testing.T) {
	const n = 200
	var settling atomic.Bool
	var settled []int
	next := 0
	p := &pipeline{
		workers: 4,
		lines: []*line{{next: func() (task, bool) {
			next++
			return task{index: next}, next <= n
		}}},
		prepare: func(context.Context, *worker, *task) error { return nil },
		finish:  func(_, _ *task) error { return nil },
		settle: func(t *task) error {
			if !settling.CompareAndSwap(false, true) {
				return errors.New("two at once")
			}
			settled = append(settled, t.index)
			settling.Store(false)
			return nil
		},
	}
	if err := p.run(t.Context(), func() *worker { return &worker{} }); err != nil {
		t.Fatal(err)
	}
	if len(settled) != n || !slices.IsSorted(settled) {
		t.Errorf("settled %d tasks of %d: %v", len(settled), n, settled)
	}
}
