package store

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"terrine/store/durable"
	"terrine/store/fault"
)

// commit is the end of one publication: its objects have their names, and are to
// be brought to disk and then to get their rows.
type commit struct {
	ctx     context.Context
	batch   *durable.Batch
	locks   durable.Locks // which must still be held then
	records []*record
	done    chan error // holds the outcome
}

// commits lets goroutines that publish at the same time share the waits for the
// disk: whoever comes while one is at it waits, and the next takes all who wait
// along.
type commits struct {
	mu      sync.Mutex
	waiting []*commit
	leading chan struct{} // holds something while one is at it
}

// commit makes objects valid that have their final names: one sync, then rows.
// It does not return before nobody uses its arguments any more, which may be
// after the end of ctx.
func (s *Store) commit(ctx context.Context, batch *durable.Batch, locks durable.Locks, records []*record) error {
	c := &commit{ctx: ctx, batch: batch, locks: locks, records: records, done: make(chan error, 1)}
	s.commits.mu.Lock()
	s.commits.waiting = append(s.commits.waiting, c)
	s.commits.mu.Unlock()
	select {
	case err := <-c.done:
		return err
	case s.commits.leading <- struct{}{}:
	}
	defer func() { <-s.commits.leading }()
	s.commits.mu.Lock()
	all := s.commits.waiting
	s.commits.waiting = nil
	s.commits.mu.Unlock()
	s.commitAll(all)
	return <-c.done // or it was done by the one before
}

// commitAll syncs every batch, because the system tells of a failed write only
// those who had the filesystem open when it failed. All but the first find
// little to do.
func (s *Store) commitAll(all []*commit) {
	var ready []*commit
	var records []*record
	for _, c := range all {
		err := c.batch.Sync()
		if err == nil {
			err = fault.New(fault.Busy, s.checkLocks(c.locks))
		}
		if err != nil {
			c.done <- err
			continue
		}
		ready = append(ready, c)
		records = append(records, c.records...)
	}
	if len(ready) == 0 {
		return
	}
	err := s.register(ready[0].ctx, records)
	for _, c := range ready {
		if err != nil && len(ready) > 1 { // whose fault was it?
			c.done <- s.register(c.ctx, c.records)
			continue
		}
		c.done <- err
	}
}

// register writes the rows of objects that are on disk, in one transaction.
func (s *Store) register(ctx context.Context, records []*record) error {
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b *record) int { return cmp.Compare(a.Path, b.Path) })
	return s.db.Update(ctx, func(tx *durable.Tx) error {
		for _, r := range records {
			if err := tx.Put(pathsBucket, []byte(r.Path.Base()), r.encode()); err != nil {
				return err
			}
		}
		for _, r := range records {
			if err := s.checkReferences(tx, r.Path, r.References); err != nil {
				return err
			}
		}
		return nil
	})
}
