package memo

import (
	"context"
	"errors"

	"terrine/store/durable"
	"terrine/store/fault"
)

func (m *Memo) view(ctx context.Context, f func(*durable.Tx) error) error {
	return m.repairing(ctx, func() error { return m.db.View(ctx, f) })
}

func (m *Memo) update(ctx context.Context, f func(*durable.Tx) error) error {
	return m.repairing(ctx, func() error { return m.db.Update(ctx, f) })
}

// repairing calls f, and once more with an empty database if f finds it
// damaged.
func (m *Memo) repairing(ctx context.Context, f func() error) error {
	err := f()
	if fault.CodeOf(err) != fault.StoreDamaged {
		return err
	}
	m.warn("the cache's memo is damaged and begun anew: %v", err)
	if err2 := m.db.Replace(ctx, nil); err2 != nil {
		return errors.Join(err, err2)
	}
	return f()
}
