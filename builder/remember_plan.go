package builder

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/memo"
	"terrine/layering"
	"terrine/store"
)

// manyPaths is how many paths a closure has at least for its plan to be
// remembered: fewer are divided in about the time that it takes to look.
const manyPaths = 50

// divide is the function divide, unless it is known what that returns.
func (m *Memo) divide(ctx context.Context, objects []store.Object, policy layer.Policy, o layering.Options) ([]PlannedLayer, error) {
	if m == nil || len(objects) < manyPaths || o.Pipeline != nil {
		return divide(ctx, objects, policy, o)
	}
	key, err := divisionKey(objects, o)
	if err != nil {
		return nil, err
	}
	if groups := m.memo.Division(key, len(objects)); groups != nil {
		return layersOf(groups, objects, policy), nil
	}
	layers, err := divide(ctx, objects, policy, o)
	if err == nil {
		m.warn(m.memo.KeepDivision(key, groupsOf(layers, objects)))
	}
	return layers, err
}

// divisionKey says all that a plan depends on: the algorithms, the options, and of
// each object path, size and references. Options are taken whole, as JSON; but of a
// pipeline that does not say what it is.
func divisionKey(objects []store.Object, o layering.Options) (digest.Digest, error) {
	options, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	var b []byte
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, layering.Revision)
	text(string(options))
	for i := range objects {
		text(string(objects[i].Path))
		b = binary.AppendUvarint(b, uint64(objects[i].NARSize))
		b = binary.AppendUvarint(b, uint64(len(objects[i].References)))
		for _, ref := range objects[i].References {
			text(string(ref))
		}
		h.Write(b)
		b = b[:0]
	}
	return digest.NewDigest(digest.SHA256, h), nil
}

func groupsOf(layers []PlannedLayer, objects []store.Object) []memo.Group {
	index := make(map[store.Path]int, len(objects))
	for i := range objects {
		index[objects[i].Path] = i
	}
	groups := make([]memo.Group, len(layers))
	for k := range layers {
		groups[k].Name = layers[k].Name
		for i := range layers[k].Objects {
			groups[k].Members = append(groups[k].Members, index[layers[k].Objects[i].Path])
		}
	}
	return groups
}

func layersOf(groups []memo.Group, objects []store.Object, policy layer.Policy) []PlannedLayer {
	layers := make([]PlannedLayer, len(groups))
	for k, g := range groups {
		members := make([]store.Object, len(g.Members))
		for n, i := range g.Members {
			members[n] = objects[i]
		}
		layers[k] = plannedLayer(g.Name, members, policy)
	}
	return layers
}
