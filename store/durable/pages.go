package durable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// This file and check.go read a bbolt file without bbolt, to find damage that
// would make bbolt panic, recurse without end, or quietly go back to an older
// state.
// The layout, in the byte order of the machine, as of bbolt's version 2:
//
//	page     id u64, flags u16, count u16, overflow u32, then by flags:
//	meta     magic u32, version u32, page size u32, flags u32,
//	         root u64, sequence u64, freelist u64, page count u64, txid u64, fnv64a of these
//	branch   count × (pos u32, ksize u32, page u64), keys
//	leaf     count × (flags u32, pos u32, ksize u32, vsize u32), keys and values
//	freelist count × u64; a count of 0xffff stands in the first u64 instead
//
// pos counts from the element that it stands in. bbolt writes keys and values
// one behind the other, and every page below the page count is a meta page,
// reachable, or free: so nearly every damage to a page breaks a rule.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader  = 16
	elementSize = 16
	metaSize    = 64 // what comes before the checksum is 56 bytes
	maxPageSize = 1 << 24

	branchFlag   = 0x01
	leafFlag     = 0x02
	metaFlag     = 0x04
	freelistFlag = 0x10
	bucketFlag   = 0x01

	noFreelist = ^uint64(0)
)

var native = binary.NativeEndian

type boltMeta struct {
	pageSize              int64
	root, freelist, pages uint64
	txid                  uint64
}

// readMetas returns the newer of the two meta pages. Both must be good: bbolt
// would take the older for the newer one, and what was written since is lost.
// (A power cut does not tear a meta page: it is written within one sector.)
func readMetas(f io.ReaderAt) (*boltMeta, error) {
	first, err := readMeta(f, 0, 0)
	if err != nil {
		return nil, err
	}
	second, err := readMeta(f, 1, first.pageSize)
	if err != nil {
		return nil, err
	}
	if first.txid%2 != 0 || second.txid%2 != 1 || first.pageSize != second.pageSize {
		return nil, damaged("damaged: meta pages do not belong together")
	}
	if second.txid > first.txid {
		return second, nil
	}
	return first, nil
}

func readMeta(f io.ReaderAt, id, off int64) (*boltMeta, error) {
	var b [pageHeader + metaSize]byte
	if _, err := f.ReadAt(b[:], off); errors.Is(err, io.EOF) {
		return nil, damaged("damaged: meta page %d: cut off", id)
	} else if err != nil {
		return nil, fmt.Errorf("meta page %d: %w", id, err) // the disk fails: the database may be sound
	}
	meta, err := parseMeta(b[:])
	if err != nil {
		return nil, damaged("damaged: meta page %d: %w", id, err)
	}
	return meta, nil
}

func parseMeta(b []byte) (*boltMeta, error) {
	m := b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(m[:metaSize-8])
	size := int64(native.Uint32(m[8:]))
	switch {
	case native.Uint16(b[8:]) != metaFlag, native.Uint32(m) != boltMagic:
		return nil, errors.New("not a meta page")
	case native.Uint32(m[4:]) != boltVersion:
		return nil, fmt.Errorf("file version %d: want %d", native.Uint32(m[4:]), boltVersion)
	case native.Uint64(m[56:]) != sum.Sum64():
		return nil, errors.New("wrong checksum")
	case size < 1024 || size > maxPageSize || size&(size-1) != 0:
		return nil, fmt.Errorf("page size %d", size)
	}
	return &boltMeta{
		pageSize: size,
		root:     native.Uint64(m[16:]),
		freelist: native.Uint64(m[32:]),
		pages:    native.Uint64(m[40:]),
		txid:     native.Uint64(m[48:]),
	}, nil
}

// element is one entry of a branch or leaf page, sharing its memory.
type element struct {
	flags      uint32
	page       uint64
	key, value []byte
}

// split splits a branch or leaf page. Their data must follow one another
// without a gap, as bbolt writes them. The result shares the memory of b and is
// good until the next call.
func (l *level) split(b []byte, leaf bool) ([]element, error) {
	count := int(native.Uint16(b[10:]))
	data := pageHeader + count*elementSize
	if data > len(b) {
		return nil, fmt.Errorf("%d elements do not fit", count)
	}
	l.elements = l.elements[:0]
	for i := range count {
		at := pageHeader + i*elementSize
		fields := b[at : at+elementSize]
		var e element
		var pos, ksize, vsize uint64
		if leaf {
			e.flags, pos = native.Uint32(fields), uint64(native.Uint32(fields[4:]))
			ksize, vsize = uint64(native.Uint32(fields[8:])), uint64(native.Uint32(fields[12:]))
		} else {
			pos, ksize = uint64(native.Uint32(fields)), uint64(native.Uint32(fields[4:]))
			e.page = native.Uint64(fields[8:])
		}
		if uint64(at)+pos != uint64(data) || ksize+vsize > uint64(len(b)-data) {
			return nil, fmt.Errorf("element %d is not where it should be", i)
		}
		e.key = b[data : data+int(ksize)]
		e.value = b[data+int(ksize) : data+int(ksize+vsize)]
		l.elements = append(l.elements, e)
		data += int(ksize + vsize)
	}
	return l.elements, nil
}

func inOrder(es []element, i int, low, high []byte) error {
	key := es[i].key
	// low is at most the first key: the first one may have been removed since.
	if (low != nil && bytes.Compare(key, low) < 0) || (high != nil && bytes.Compare(key, high) >= 0) ||
		(i > 0 && bytes.Compare(key, es[i-1].key) <= 0) {
		return fmt.Errorf("key %q is out of order", key)
	}
	return nil
}

func pageError(id uint64, format string, args ...any) error {
	return damaged("damaged: page %d: %s", id, fmt.Sprintf(format, args...))
}
