package builder

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/builder/memo"
	"terrine/builder/sink/archive"
	"terrine/store"
)

// A Miss is a layer whose digest is not known, and why.
type Miss struct {
	Layer int // index in the image, bottom first
	Key   digest.Digest
	Paths []store.Path // none for the root layer
	Size  int64        // sum of NAR sizes in bytes; 0 for the root layer
	Why   string       // "never built", "never compressed", "codec changed", "evicted", "damaged"
}

// A Loss is something that the memo should have of a store path, and has not, or
// not whole. It does not hide any digest: a build makes it again.
type Loss struct {
	Layer int // index in the image, bottom first
	Path  store.Path
	Size  int64  // of its NAR, in bytes
	What  string // "scaffold" or "compressed parts"
	Why   string // "damaged", and how it shows
}

// Losses returns what m has lost of the store paths of p. It opens no file of the
// cache and compares lengths; what was evicted is no loss.
func (p *Plan) Losses(ctx context.Context, m *Memo) ([]Loss, error) {
	var keys []digest.Digest
	var ends []int // of each layer in keys
	for i := range p.Layers {
		objects := p.Layers[i].Objects
		for k := range objects.Len() {
			keys = append(keys, layer.SegmentKey(p.policy, objects.At(k)))
		}
		ends = append(ends, len(keys))
	}
	found, err := m.memo.Losses(ctx, keys)
	losses := make([]Loss, len(found))
	for n, f := range found {
		i, _ := slices.BinarySearch(ends, f.Segment+1)
		objects := p.Layers[i].Objects
		o := objects.At(f.Segment - ends[i] + objects.Len())
		losses[n] = Loss{Layer: i, Path: o.Path, Size: o.NARSize, What: f.What, Why: memo.Damaged + ": " + f.Why}
	}
	return losses, err
}

// Probe predicts the image that p plans, its layers compressed by c, from what m
// knows, without opening a file of the store. If not all is known, result is nil
// and misses has all that is not. It runs the code that WriteArchive runs, and
// differs in what it does about a layer that is unknown.
func (p *Plan) Probe(ctx context.Context, m *Memo, c codec.Codec) (result *Result, misses []Miss, err error) {
	p.timing.Begin(PhaseLookup)
	rows, err := p.rows(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	m.looked(p.timing, rows, c)
	if result, err = p.predict(rows, c); result != nil || err != nil {
		return result, nil, err
	}
	for i, row := range rows {
		if _, ok := blob(row, c); !ok {
			misses = append(misses, p.miss(i, row))
		}
	}
	return nil, misses, nil
}

func (p *Plan) miss(i int, row *memo.Layer) Miss {
	m := Miss{Layer: i, Key: p.keys()[i], Why: "never built"}
	switch {
	case row == nil:
	case !row.Known():
		m.Why = row.Gone
	case len(row.Blobs) == 0:
		m.Why = "never compressed"
	default:
		m.Why = "codec changed"
	}
	if i < len(p.Layers) {
		m.Paths, m.Size = p.Layers[i].Paths(), p.Layers[i].Size
	}
	return m
}

// keys returns the keys of all layers, that of the root layer last.
func (p *Plan) keys() []digest.Digest {
	keys := make([]digest.Digest, 0, len(p.Layers)+1)
	for i := range p.Layers {
		keys = append(keys, p.Layers[i].Key)
	}
	return append(keys, p.RootKey)
}

// rows returns what m has under the keys of all layers, nil for nothing.
func (p *Plan) rows(ctx context.Context, m *Memo) ([]*memo.Layer, error) {
	if m == nil {
		return make([]*memo.Layer, len(p.Layers)+1), nil
	}
	return m.memo.Layers(ctx, p.keys())
}

// predict returns the image that has these layers, compressed by c, or nil if one
// is not known.
func (p *Plan) predict(rows []*memo.Layer, c codec.Codec) (*Result, error) {
	r := &Result{}
	for i, row := range rows {
		b, ok := blob(row, c)
		if !ok {
			return nil, nil
		}
		r.Layers = append(r.Layers, p.builtLayer(i, b, c))
	}
	r.Conflicts = rows[len(rows)-1].Notes
	_, err := p.complete(r)
	return r, err
}

// blob returns what the layer of a row is when it is compressed by c, if that is
// known.
func blob(row *memo.Layer, c codec.Codec) (archive.Blob, bool) {
	if !row.Known() {
		return archive.Blob{}, false
	}
	if c == codec.None() {
		return archive.Blob{DiffID: row.DiffID, Digest: row.DiffID, Size: row.Size}, true
	}
	b, ok := row.Blobs[c.ID()]
	return archive.Blob{DiffID: row.DiffID, Digest: b.Digest, Size: b.Size}, ok
}
