package memo

import (
	"context"
	"fmt"
	"path/filepath"

	"terrine/store/durable"
	"terrine/store/fault"
)

func (m *Memo) view(ctx context.Context, f func(*durable.Tx) error) error {
	return m.repairing(ctx, func() error { return m.db.View(ctx, f) })
}

func (m *Memo) update(ctx context.Context, f func(*durable.Tx) error) error {
	return m.repairing(ctx, func() error { return m.db.Update(ctx, f) })
}

// repairing calls f, and if f finds the database damaged once more with one that
// is begun anew: of layers it says no more than that they were known.
func (m *Memo) repairing(ctx context.Context, f func() error) error {
	err := f()
	if fault.CodeOf(err) != fault.StoreDamaged || m.o.Strict {
		return err
	}
	m.warn("the cache's memo is damaged and begun anew: %v", err)
	lost, err2 := legibleLayers(filepath.Join(m.dir, dbName))
	if err2 != nil {
		lost = nil // it is only the reason why they are not known
	}
	if err2 := m.db.Replace(ctx, func(tx *durable.Tx) error { return m.markLost(tx, lost) }); err2 != nil {
		return fmt.Errorf("%w; %w", err, err2)
	}
	return f()
}
