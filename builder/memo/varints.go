package memo

import "encoding/binary"

// varints reads numbers in varint form, and texts with their lengths before them.
// After a failure it returns zeros.
type varints struct {
	rest   []byte
	failed bool
}

func (d *varints) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.rest, d.failed = nil, true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads how many things follow that have at least size bytes each.
func (d *varints) count(size int) int {
	v := d.number()
	if v > uint64(len(d.rest)/size) {
		d.rest, d.failed = nil, true
		return 0
	}
	return int(v)
}

func (d *varints) text() string {
	n := d.count(1)
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
