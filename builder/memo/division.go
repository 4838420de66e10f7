package memo

import (
	"encoding/binary"
	"errors"

	"github.com/opencontainers/go-digest"
)

// divisionKind is the kind of divisions, for Memo.path.
const divisionKind = "division"

// A Group is a layer of a closure that was divided: members are indices of its
// paths, which are sorted.
type Group struct {
	Name    string
	Members []uint32
}

// Division returns what KeepDivision kept under key, for a closure of n paths,
// or nil. No index is out of range, and none stands twice.
func (m *Memo) Division(key digest.Digest, n int) []Group {
	groups, _ := readChunk(m, m.path(divisionKind, key), "a plan", func(b []byte) ([]Group, error) { return decodeDivision(b, n) })
	return groups
}

// KeepDivision keeps groups under key. GC removes it as it does a closure, a day
// after its last use.
func (m *Memo) KeepDivision(key digest.Digest, groups []Group) error {
	_, err := writeChunk(m.path(divisionKind, key), encodeDivision(groups), 0)
	return err
}

// encodeDivision writes numbers in varint form and names with their lengths
// before them.
func encodeDivision(groups []Group) []byte {
	b := binary.AppendUvarint(nil, uint64(len(groups)))
	for _, g := range groups {
		b = binary.AppendUvarint(b, uint64(len(g.Name)))
		b = append(b, g.Name...)
		b = binary.AppendUvarint(b, uint64(len(g.Members)))
		for _, i := range g.Members {
			b = binary.AppendUvarint(b, uint64(i))
		}
	}
	return b
}

var errDivision = errors.New("no division of this closure")

func decodeDivision(b []byte, n int) ([]Group, error) {
	d := varints{rest: b}
	groups := make([]Group, d.count(2))
	seen := make([]bool, n)
	for k := range groups {
		groups[k].Name = d.text()
		groups[k].Members = make([]uint32, d.count(1))
		for i := range groups[k].Members {
			v := d.number()
			if v >= uint64(n) || seen[v] {
				return nil, errDivision
			}
			seen[v] = true
			groups[k].Members[i] = uint32(v)
		}
	}
	if d.failed || len(d.rest) > 0 {
		return nil, errDivision
	}
	return groups, nil
}
