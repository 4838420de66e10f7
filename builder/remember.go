package builder

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/builder/memo"
	"terrine/builder/sink/archive"
	"terrine/store"
)

// A Memo is a memo as a build uses it: it saves work, and when it cannot, the
// build goes on without it and says so once. A nil Memo knows nothing.
type Memo struct {
	memo *memo.Memo
	tell func(string)
	once sync.Once
}

// NewMemo returns m for use by builds. tell is told, at most once, why nothing
// can be remembered; nil for nobody.
func NewMemo(m *memo.Memo, tell func(string)) *Memo { return &Memo{memo: m, tell: tell} }

func (m *Memo) warn(err error) {
	if m == nil || m.tell == nil || err == nil {
		return
	}
	m.once.Do(func() { m.tell(fmt.Sprintf("the cache cannot be written, the build goes on without it: %v", err)) })
}

// looked counts the layers that are known among rows.
func (m *Memo) looked(t *Timing, rows []*memo.Layer, c codec.Codec) {
	if m == nil {
		return
	}
	hits := 0
	for _, row := range rows {
		if _, ok := blob(row, c); ok {
			hits++
		}
	}
	t.looked(lookupLayer, hits, len(rows)-hits)
}

// report tells t what m was asked for, and ends its last phase.
func (m *Memo) report(t *Timing) {
	t.End()
	if m == nil {
		return
	}
	for kind, asked := range m.memo.Asked() {
		t.looked(kind, asked.Hits, asked.Misses)
	}
}

// scaffolds finds the scaffolds of what is to be packed, and makes those that are not
// known. p.held is told of the contents that the others were made of.
func (m *Memo) scaffolds(ctx context.Context, p *packing, policy layer.Policy, o Options) (err error) {
	if p.scaffolds, err = m.keptScaffolds(ctx, p.objects, policy, o, p.held); err != nil {
		return err
	}
	for i, s := range p.scaffolds {
		if s == nil {
			p.made = append(p.made, uint32(i))
		}
	}
	scanned, err := layer.Scan(ctx, some{all: p.objects, of: p.made}, policy, o.Workers)
	for j, s := range scanned {
		p.scaffolds[p.made[j]] = s
	}
	return err
}

// keptScaffolds returns the scaffolds of objects that are remembered, nil for the
// others.
func (m *Memo) keptScaffolds(ctx context.Context, objects store.Objects, policy layer.Policy, o Options, held *contents) ([]*layer.Scaffold, error) {
	scaffolds := make([]*layer.Scaffold, objects.Len())
	if m == nil || o.Verify == VerifyFull { // only a walk finds what has been added to a store path
		return scaffolds, nil
	}
	g := new(errgroup.Group)
	g.SetLimit(max(1, o.Workers))
	for i := range scaffolds {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			object := objects.At(i)
			key := layer.SegmentKey(policy, object)
			b, sum := m.memo.Scaffold(key)
			if b != nil {
				scaffolds[i], _ = layer.DecodeScaffold(b, object, policy) // made anew if it does not fit
			}
			if scaffolds[i] != nil {
				held.expect(key, sum)
			}
			return nil
		})
	}
	return scaffolds, g.Wait()
}

// save remembers what a build found out that succeeded.
func (m *Memo) save(ctx context.Context, p *Plan, before []*memo.Layer, packed *packing, r *Result, out Output) {
	if m == nil {
		return
	}
	m.keepScaffolds(packed, p.policy)
	rows := map[digest.Digest]memo.Layer{}
	var found []digest.Digest // to be as it was
	for i, key := range p.keys() {
		row := memo.Layer{DiffID: r.Layers[i].DiffID, Size: packed.layers[i].Size}
		if sum, ok := packed.layers[i].Sum(packed.held.sum); ok && i < len(p.Layers) {
			row.Sum = &sum
		}
		if _, ok := blob(before[i], out.LayerCodec); ok && !m.memo.Stale(before[i]) && before[i].Has(row.Sum) {
			found = append(found, key)
			continue
		}
		if out.LayerCodec != codec.None() {
			row.Blobs = map[string]memo.Blob{out.LayerCodec.ID(): {Digest: r.Layers[i].Digest, Size: r.Layers[i].Size}}
		}
		if i == len(p.Layers) {
			if !p.sourcesStay(ctx) {
				continue
			}
			row.Notes = r.Conflicts
		}
		rows[key] = row
	}
	if len(rows) > 0 {
		m.foundScaffolds(packed, p.policy)
	}
	m.warn(m.memo.Save(ctx, rows, found...))
}

// foundScaffolds tells the memo what it knew.
func (m *Memo) foundScaffolds(p *packing, policy layer.Policy) {
	made := p.made
	for i, s := range p.scaffolds {
		if len(made) > 0 && made[0] == uint32(i) {
			made = made[1:]
			continue
		}
		object := p.objects.At(i)
		m.memo.FoundScaffold(layer.SegmentKey(policy, object), object.Path, s)
	}
}

// keepScaffolds keeps several at a time: of thousands of small ones the time goes
// into making files.
func (m *Memo) keepScaffolds(p *packing, policy layer.Policy) {
	g := new(errgroup.Group)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, i := range p.made {
		g.Go(func() error {
			object := p.objects.At(int(i))
			key := layer.SegmentKey(policy, object)
			if sum, ok := p.held.sum(key); ok {
				return m.memo.KeepScaffold(key, object.Path, p.scaffolds[i], sum)
			}
			return nil
		})
	}
	m.warn(g.Wait())
}

// contradicted returns a contradiction if layers are others than rows say, where they
// say something.
func (p *Plan) contradicted(rows []*memo.Layer, blobs []archive.Blob, c codec.Codec) error {
	var found *contradiction
	for i := range blobs {
		was, ok := blob(rows[i], c)
		if !ok || was == blobs[i] {
			continue
		}
		if found == nil {
			found = &contradiction{}
		}
		if i < len(p.Layers) { // nothing is kept of the root layer
			objects := p.Layers[i].Objects
			for k := range objects.Len() {
				found.segments = append(found.segments, layer.SegmentKey(p.policy, objects.At(k)))
			}
		}
	}
	if found == nil {
		return nil
	}
	return found
}

// A contradiction is errRemembered for segments that are not what the memo says: of
// layers that were packed and have become others, or compressed of other bytes.
type contradiction struct{ segments []digest.Digest }

func (*contradiction) Error() string { return errRemembered.Error() }
func (*contradiction) Unwrap() error { return errRemembered }

// doubt forgets what is kept of the segments that err, a contradiction, is about. It
// may come of damage that did not show when it was kept, by any codec.
func (m *Memo) doubt(ctx context.Context, err error) {
	if c, ok := errors.AsType[*contradiction](err); ok && m != nil {
		m.warn(m.memo.Forget(ctx, c.segments))
	}
}
