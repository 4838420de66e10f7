package memo

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"

	"terrine/store"
)

// closureKind is the kind of closures, for Memo.path.
const closureKind = "closure"

// A Closure is what a host's store said of some store paths and all that they
// refer to.
type Closure struct {
	Infos []*store.Info // sorted by path; references and all
	// Stamps say, for each of Infos, what was found on disk then. What they are is
	// for the caller to know.
	Stamps []Stamp
}

// A Stamp tells one file from another that has come in its place.
type Stamp struct {
	Device, Inode uint64
	Changed       int64 // ctime, in nanoseconds since 1970
}

// Closure returns what was kept under key, or nil. Whether it still holds the
// stamps tell.
func (m *Memo) Closure(key digest.Digest) *Closure {
	c, _ := readChunk(m, m.path(closureKind, key), "a closure", decodeClosure)
	return c
}

// KeepClosure keeps c under key. No row speaks of it, so GC removes it a day after
// its last use.
func (m *Memo) KeepClosure(key digest.Digest, c *Closure) error {
	_, err := writeChunk(m.path(closureKind, key), c.encode(), 0)
	return err
}

// encode writes a closure as numbers in varint form and texts with their
// lengths before them; a reference is the number of the path that it is to.
func (c *Closure) encode() []byte {
	index := make(map[store.Path]int, len(c.Infos))
	for i, info := range c.Infos {
		index[info.Path] = i
	}
	b := binary.AppendUvarint(nil, uint64(len(c.Infos)))
	for i, info := range c.Infos {
		s := c.Stamps[i]
		for _, text := range [...]string{string(info.Path), info.NARHash.Encoded(), string(info.Deriver), info.CA, strings.Join(info.Signatures, "\n")} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
		for _, n := range [...]uint64{uint64(info.NARSize), s.Device, s.Inode, uint64(s.Changed), uint64(len(info.References))} {
			b = binary.AppendUvarint(b, n)
		}
		for _, ref := range info.References {
			b = binary.AppendUvarint(b, uint64(index[ref]))
		}
	}
	return b
}

var errClosure = errors.New("no closure")

func decodeClosure(b []byte) (*Closure, error) {
	d := varints{rest: b}
	n := d.count(minClosureEntry)
	c := &Closure{Infos: make([]*store.Info, n), Stamps: make([]Stamp, n)}
	for i := range c.Infos {
		c.Infos[i] = &store.Info{}
	}
	refs := make([][]uint64, n)
	for i, info := range c.Infos {
		path, hash := d.text(), d.text()
		info.Deriver, info.CA = store.Path(d.text()), d.text()
		if sigs := d.text(); sigs != "" {
			info.Signatures = strings.Split(sigs, "\n")
		}
		info.NARSize = int64(d.number())
		c.Stamps[i] = Stamp{Device: d.number(), Inode: d.number(), Changed: int64(d.number())}
		refs[i] = make([]uint64, d.count(1))
		for k := range refs[i] {
			refs[i][k] = d.number()
		}
		var err error
		if info.Path, err = store.ParsePath(path); err != nil {
			return nil, err
		}
		info.NARHash = digest.NewDigestFromEncoded(digest.SHA256, hash)
		if err := info.NARHash.Validate(); err != nil {
			return nil, err
		}
	}
	for i, info := range c.Infos {
		for _, r := range refs[i] {
			if r >= uint64(n) {
				return nil, errClosure
			}
			info.References = append(info.References, c.Infos[r].Path)
		}
	}
	if d.failed || len(d.rest) > 0 {
		return nil, errClosure
	}
	return c, nil
}

// minClosureEntry is the least number of bytes that a path takes: one for each of
// its lengths and numbers.
const minClosureEntry = 10
