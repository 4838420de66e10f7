package builder

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"

	"github.com/opencontainers/go-digest"

	"terrine/builder/memo"
	"terrine/layering"
	"terrine/store"
)

// manyPaths is how many paths a closure has at least for its plan to be
// remembered: fewer are divided in about the time that it takes to look.
const manyPaths = 50

// divide is the function divide, unless it is known what that returns.
func (m *Memo) divide(ctx context.Context, c *store.Closure, o layering.Options) ([]memo.Group, error) {
	if m == nil || c.Len() < manyPaths || o.Pipeline != nil {
		groups, err := divide(ctx, c, o)
		return numbered(c, groups), err
	}
	key, err := divisionKey(c, o)
	if err != nil {
		return nil, err
	}
	if groups := m.memo.Division(key, c.Len()); groups != nil {
		return groups, nil
	}
	made, err := divide(ctx, c, o)
	groups := numbered(c, made)
	if err == nil {
		m.warn(m.memo.KeepDivision(key, groups))
	}
	return groups, err
}

// divisionKey says all that a plan depends on: the algorithms, the options, and of
// each object path, size and references. Options are taken whole, as JSON; but of a
// pipeline that does not say what it is.
func divisionKey(c *store.Closure, o layering.Options) (digest.Digest, error) {
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
	for i := range c.Len() {
		text(string(c.Path(i)))
		b = binary.AppendUvarint(b, uint64(c.NARSize(i)))
		b = binary.AppendUvarint(b, uint64(len(c.References(i))))
		for _, ref := range c.References(i) {
			text(string(c.Path(int(ref))))
		}
		h.Write(b)
		b = b[:0]
	}
	return digest.NewDigest(digest.SHA256, h), nil
}
