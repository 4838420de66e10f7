package memo

import (
	"cmp"
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"terrine/store/durable"
)

// Save remembers layers, by key, beside what was known of them, and all that was
// kept of segments since the last Save. Rows of layers come last, in one
// transaction. If there are layers, it also writes what was found of segments,
// since the database may be younger than the files.
//
// If a segment had another sum before, its store path was damaged then, or is now:
// nothing else stays known of layers, which may be of that time, but of those that
// are found to be as they were.
func (m *Memo) Save(ctx context.Context, layers map[digest.Digest]Layer, found ...digest.Digest) error {
	m.mu.Lock()
	all := []*notes{m.kept}
	if len(layers) > 0 {
		all = []*notes{m.found, m.kept}
		m.found = &notes{}
	}
	m.kept = &notes{}
	m.mu.Unlock()
	// Segments first: the rows of layers speak of them.
	var batch []keyedSegment
	for s := range rows(all...) {
		if len(batch) == savedAtOnce {
			if err := m.update(ctx, func(tx *durable.Tx) error { return saveSegments(tx, batch, found) }); err != nil {
				return err
			}
			batch = batch[:0]
		}
		batch = append(batch, s)
	}
	if len(batch) == 0 && len(layers) == 0 {
		return nil
	}
	return m.update(ctx, func(tx *durable.Tx) error {
		if err := saveSegments(tx, batch, found); err != nil {
			return err
		}
		for _, key := range sorted(layers) {
			l := layers[key]
			l.Used = m.Now()
			if err := saveLayer(tx, key, l); err != nil {
				return err
			}
		}
		return nil
	})
}

// savedAtOnce is how many rows of segments a transaction writes: it has all of them in
// memory.
const savedAtOnce = 2000

// sorted returns the keys in the order that bbolt likes to be given them.
func sorted[V any](m map[digest.Digest]V) []digest.Digest {
	keys := make([]digest.Digest, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func saveLayer(tx *durable.Tx, key digest.Digest, l Layer) error {
	var old Layer
	if _, err := get(tx, layerBucket, key.String(), &old); err != nil {
		return err
	}
	if old.DiffID == l.DiffID {
		l.Blobs = merged(l.Blobs, old.Blobs)
	}
	return put(tx, layerBucket, key.String(), l)
}

func saveSegments(tx *durable.Tx, segments []keyedSegment, found []digest.Digest) error {
	for i := range segments {
		key := segments[i].key.String()
		var old Segment
		if _, err := get(tx, segmentBucket, key, &old); err != nil {
			return err
		}
		if is := segments[i].row.Sum; is != nil && old.Sum != nil && *is != *old.Sum {
			if err := forgetLayers(tx, found); err != nil {
				return err
			}
		}
		s := segments[i].row.over(old)
		if s.same(old) {
			continue
		}
		if err := put(tx, segmentBucket, key, s); err != nil {
			return err
		}
	}
	return nil
}

// over returns what s says, and where that says nothing what old does.
func (s Segment) over(old Segment) Segment {
	if s.Entries == 0 {
		s.Path, s.Size, s.Content, s.Entries = old.Path, old.Size, old.Content, old.Entries
	}
	s.Sum = cmp.Or(s.Sum, old.Sum)
	s.Encoded = s.Encoded.over(old.Encoded)
	s.Files = s.Files.over(old.Files)
	return s
}

func (s Segment) same(t Segment) bool {
	return s.Path == t.Path && s.Size == t.Size && s.Content == t.Content && s.Entries == t.Entries && sameSum(s.Sum, t.Sum) &&
		slices.Equal(s.Encoded, t.Encoded) && slices.Equal(s.Files, t.Files)
}

// merged adds to m what is only in old, and returns it.
func merged(m, old map[string]Blob) map[string]Blob {
	for name, v := range old {
		if m == nil {
			m = map[string]Blob{}
		}
		if _, ok := m[name]; !ok {
			m[name] = v
		}
	}
	return m
}
