package nixdb

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// row is a row of a table. Its values are nil, int64 and string.
type row struct {
	id     int64
	values []any
}

// table is a table of the database. Its rows are sorted by id.
type table struct {
	name, sql string
	rows      []row
	indexes   []index
}

// index is an index on columns of a table, by number from 0. It has no sql if it
// is made by a constraint of the table.
type index struct {
	name, sql string
	columns   []int
}

// entries returns the records of the index: the values of its columns, and the
// row's id, in the order of SQLite.
func (x *index) entries(rows []row) [][]any {
	entries := make([][]any, len(rows))
	for i, r := range rows {
		for _, c := range x.columns {
			entries[i] = append(entries[i], r.values[c])
		}
		entries[i] = append(entries[i], r.id)
	}
	slices.SortFunc(entries, func(a, b []any) int { return slices.CompareFunc(a, b, compareValues) })
	return entries
}

// compareValues orders values as SQLite does, for two of one type: nothing else
// is in one column here.
func compareValues(a, b any) int {
	switch a := a.(type) {
	case int64:
		b, _ := b.(int64)
		return cmp.Compare(a, b)
	case string:
		b, _ := b.(string)
		return cmp.Compare(a, b)
	}
	return 0
}

// appendRecord appends a record: the length of its header, a type for each
// value, and the values.
func appendRecord(to []byte, values []any) ([]byte, error) {
	var types, body []byte
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			types = append(types, 0)
		case int64:
			kind, width := integerType(v)
			types = append(types, kind)
			for i := width - 1; i >= 0; i-- {
				body = append(body, byte(v>>(8*i)))
			}
		case string:
			types = appendVarint(types, 13+2*uint64(len(v)))
			body = append(body, v...)
		default:
			return nil, fmt.Errorf("encode record: no type for %T", v)
		}
	}
	size := uint64(len(types)) + 1
	if size > 0x7f {
		return nil, fmt.Errorf("encode record: a header of %d bytes", size)
	}
	to = appendVarint(to, size)
	return append(append(to, types...), body...), nil
}

// integerType returns the type of the fewest bytes that hold v, and how many
// they are.
func integerType(v int64) (kind byte, width int) {
	switch {
	case v == 0:
		return 8, 0
	case v == 1:
		return 9, 0
	}
	for kind, width := range []int{1, 2, 3, 4, 6} {
		if limit := int64(1) << (8*width - 1); -limit <= v && v < limit {
			return byte(kind + 1), width
		}
	}
	return 6, 8
}

// appendVarint appends v, which is below 1<<56, in 7 bits a byte, the highest
// first: SQLite's form of eight bytes or fewer.
func appendVarint(to []byte, v uint64) []byte {
	var groups [8]byte
	n := len(groups)
	for {
		n--
		groups[n] = byte(v) | 0x80
		if v >>= 7; v == 0 || n == 0 {
			break
		}
	}
	groups[len(groups)-1] &= 0x7f
	return append(to, groups[n:]...)
}

func appendUint16(to []byte, v int) []byte { return binary.BigEndian.AppendUint16(to, uint16(v)) }

func appendUint32(to []byte, v int) []byte { return binary.BigEndian.AppendUint32(to, uint32(v)) }
