package memo

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Lengths are numbers of bytes by name, sorted by name. There are one or two in
// each row of a segment, and very many rows: a map of them would take five times the
// memory. In JSON they are an object.
type Lengths []Length

// A Length is how many bytes something has.
type Length struct {
	Name  string
	Bytes int64
}

func (l Lengths) byName() map[string]int64 {
	m := make(map[string]int64, len(l))
	for _, e := range l {
		m[e.Name] = e.Bytes
	}
	return m
}

func (l Lengths) find(name string) (int, bool) {
	return slices.BinarySearchFunc(l, name, func(e Length, name string) int { return strings.Compare(e.Name, name) })
}

// with returns l with n bytes for name, in the place of what it says of that.
func (l Lengths) with(name string, n int64) Lengths {
	i, ok := l.find(name)
	if ok {
		l = slices.Clone(l)
		l[i].Bytes = n
		return l
	}
	return slices.Concat(l[:i], Lengths{{name, n}}, l[i:])
}

// without returns l without name.
func (l Lengths) without(name string) Lengths {
	return slices.DeleteFunc(slices.Clone(l), func(e Length) bool { return e.Name == name })
}

// over returns l, and of old what l says nothing of.
func (l Lengths) over(old Lengths) Lengths {
	for _, e := range old {
		if _, ok := l.find(e.Name); !ok {
			l = l.with(e.Name, e.Bytes)
		}
	}
	return l
}

// MarshalJSON implements json.Marshaler. Of none it makes an empty object.
func (l Lengths) MarshalJSON() ([]byte, error) { return json.Marshal(l.byName()) }

// UnmarshalJSON implements json.Unmarshaler.
func (l *Lengths) UnmarshalJSON(b []byte) error {
	var m map[string]int64
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*l = nil
	for _, name := range slices.Sorted(maps.Keys(m)) {
		*l = append(*l, Length{name, m[name]})
	}
	return nil
}
