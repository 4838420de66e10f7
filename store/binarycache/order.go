package binarycache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"terrine/store"
	"terrine/store/fault"
)

// inOrder calls do for the number of each of infos, several at once, after those
// that it refers to. It returns when all calls have: the first error, which
// ends the context of the others. References in a circle are of class
// fault.Refused; those to what is not among infos do not matter.
func inOrder(ctx context.Context, infos []*store.Info, workers int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	missing, referrers := dependencies(infos)
	var ready []int
	for i, n := range missing {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	type result struct {
		i   int
		err error
	}
	results := make(chan result)
	var wg sync.WaitGroup
	defer wg.Wait()
	var first error
	running, done := 0, 0
	for {
		for first == nil && running < workers && len(ready) > 0 {
			i := ready[0]
			ready = ready[1:]
			running++
			wg.Go(func() { results <- result{i, do(ctx, i)} })
		}
		if running == 0 {
			break
		}
		r := <-results
		running--
		if r.err != nil {
			if first == nil {
				first = r.err
				cancel(r.err)
			}
			continue
		}
		done++
		for _, j := range referrers[r.i] {
			if missing[j]--; missing[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	if first == nil && done < len(infos) {
		return circle(infos, missing)
	}
	return first
}

// dependencies returns for each of infos how many others it refers to, and who
// refers to it.
func dependencies(infos []*store.Info) (missing []int, referrers [][]int) {
	number := make(map[store.Path]int, len(infos))
	for i, info := range infos {
		number[info.Path] = i
	}
	missing, referrers = make([]int, len(infos)), make([][]int, len(infos))
	for i, info := range infos {
		for _, ref := range info.References {
			if j, ok := number[ref]; ok && j != i {
				missing[i]++
				referrers[j] = append(referrers[j], i)
			}
		}
	}
	return missing, referrers
}

func circle(infos []*store.Info, missing []int) error {
	i := slices.IndexFunc(missing, func(n int) bool { return n > 0 })
	if i < 0 {
		return errors.New("a path stands twice in a closure")
	}
	return fault.New(fault.Refused, fmt.Errorf("the references of %s go in a circle", infos[i].Path))
}
