package durable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// This file reads a bbolt file without bbolt, to find damage that would make
// bbolt panic, recurse without end, or quietly go back to an older state.
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

// checkFile returns an error of class fault.StoreDamaged for a file that
// bbolt should not be given. With whole it reads all of it; otherwise the
// meta pages and the size. The caller holds the lock.
func checkFile(path string, whole bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return check(f, info.Size(), whole)
}

func check(r io.ReaderAt, size int64, whole bool) error {
	if size == 0 {
		return damaged("damaged: it is empty")
	}
	meta, err := readMetas(r)
	if err != nil {
		return err
	}
	if meta.pages < 4 || meta.pages > uint64(size/meta.pageSize) {
		return damaged("damaged: %d bytes are too few for %d pages of %d", size, meta.pages, meta.pageSize)
	}
	if !whole {
		return nil
	}
	c := &checker{r: r, meta: meta, used: make([]bool, meta.pages)}
	return c.run()
}

// readMetas returns the newer of the two meta pages. Both must be good: bbolt
// would take the older for the newer one, and what was written since is lost.
// (A power cut does not tear a meta page: it is written within one sector.)
func readMetas(f io.ReaderAt) (*boltMeta, error) {
	first, err := readMeta(f, 0)
	if err != nil {
		return nil, damaged("damaged: meta page 0: %v", err)
	}
	second, err := readMeta(f, first.pageSize)
	if err != nil {
		return nil, damaged("damaged: meta page 1: %v", err)
	}
	if first.txid%2 != 0 || second.txid%2 != 1 || first.pageSize != second.pageSize {
		return nil, damaged("damaged: meta pages do not belong together")
	}
	if second.txid > first.txid {
		return second, nil
	}
	return first, nil
}

func readMeta(f io.ReaderAt, off int64) (*boltMeta, error) {
	var b [pageHeader + metaSize]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		return nil, fmt.Errorf("cut off: %w", err)
	}
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

type checker struct {
	r      io.ReaderAt
	meta   *boltMeta
	used   []bool // pages that are meta, reachable or free
	levels []*level
}

// level is the memory for one page on the way down from the root.
type level struct {
	page     []byte
	elements []element
}

// at returns the memory of the given depth.
func (c *checker) at(depth int) *level {
	if depth == len(c.levels) {
		c.levels = append(c.levels, &level{page: make([]byte, c.meta.pageSize)})
	}
	return c.levels[depth]
}

func pageError(id uint64, format string, args ...any) error {
	return damaged("damaged: page %d: %s", id, fmt.Sprintf(format, args...))
}

func (c *checker) run() error {
	c.used[0], c.used[1] = true, true
	if err := c.tree(0, c.meta.root, "", nil, nil); err != nil {
		return err
	}
	if c.meta.freelist == noFreelist {
		return nil
	}
	if err := c.freelist(); err != nil {
		return err
	}
	for id, used := range c.used {
		if !used {
			return pageError(uint64(id), "neither in use nor free")
		}
	}
	return nil
}

// claim notes that pages id to id+overflow have their one use.
func (c *checker) claim(id, overflow uint64) error {
	if id >= c.meta.pages || overflow >= c.meta.pages-id {
		return pageError(id, "beyond the end of the database")
	}
	for i := id; i <= id+overflow; i++ {
		if c.used[i] {
			return pageError(i, "used twice")
		}
		c.used[i] = true
	}
	return nil
}

// page reads a page with its overflow and claims it. What it returns is good
// until the next page of the same depth.
func (c *checker) page(depth int, id uint64) ([]byte, error) {
	if id >= c.meta.pages {
		return nil, pageError(id, "beyond the end of the database")
	}
	b := c.at(depth).page
	if _, err := c.r.ReadAt(b, int64(id)*c.meta.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	if got := native.Uint64(b); got != id {
		return nil, pageError(id, "says that it is page %d", got)
	}
	overflow := uint64(native.Uint32(b[12:]))
	if err := c.claim(id, overflow); err != nil {
		return nil, err
	}
	if overflow == 0 {
		return b, nil
	}
	b = make([]byte, int64(overflow+1)*c.meta.pageSize)
	if _, err := c.r.ReadAt(b, int64(id)*c.meta.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return b, nil
}

// tree checks the page and what is below it. Keys lie in [low, high); nil is
// no bound. bucket names the bucket for the checksums of its values.
func (c *checker) tree(depth int, id uint64, bucket string, low, high []byte) error {
	b, err := c.page(depth, id)
	if err != nil {
		return err
	}
	switch flags := native.Uint16(b[8:]); {
	case flags == branchFlag:
		return c.branch(depth, id, b, bucket, low, high)
	case flags != leafFlag:
		return pageError(id, "flags %#x: want a branch or a leaf", flags)
	case native.Uint16(b[10:]) > 0:
		return c.leaf(depth, id, b, bucket, low, high)
	}
	// Only the root of a bucket may be empty, and bbolt zeroes its buffers:
	// what is not zero was counted once.
	if low != nil || len(bytes.Trim(b[pageHeader:], "\x00")) > 0 {
		return pageError(id, "empty leaf")
	}
	return nil
}

func (c *checker) branch(depth int, id uint64, b []byte, bucket string, low, high []byte) error {
	es, err := c.elements(depth, b, false)
	if err != nil {
		return pageError(id, "%v", err)
	}
	if len(es) == 0 {
		return pageError(id, "empty branch")
	}
	for i, e := range es {
		if err := inOrder(es, i, low, high); err != nil {
			return pageError(id, "%v", err)
		}
		next := high
		if i+1 < len(es) {
			next = es[i+1].key
		}
		if err := c.tree(depth+1, e.page, bucket, e.key, next); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) leaf(depth int, id uint64, b []byte, bucket string, low, high []byte) error {
	es, err := c.elements(depth, b, true)
	if err != nil {
		return pageError(id, "%v", err)
	}
	for i, e := range es {
		if err := inOrder(es, i, low, high); err != nil {
			return pageError(id, "%v", err)
		}
		switch {
		case e.flags == bucketFlag && bucket == "":
			err = c.bucket(depth+1, id, string(e.key), e.value)
		case e.flags == 0 && bucket != "":
			_, err = unseal(bucket, e.key, e.value)
		default:
			err = pageError(id, "element %d has flags %#x", i, e.flags)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket: its root page, or the page that stands in its value.
func (c *checker) bucket(depth int, id uint64, name string, value []byte) error {
	if len(value) < 16 || name == "" {
		return pageError(id, "bucket %q is cut off", name)
	}
	if root := native.Uint64(value); root != 0 {
		return c.tree(depth, root, name, nil, nil)
	}
	b := value[16:]
	if len(b) < pageHeader || native.Uint16(b[8:]) != leafFlag {
		return pageError(id, "bucket %q has no page", name)
	}
	if native.Uint16(b[10:]) == 0 && len(b) > pageHeader {
		return pageError(id, "bucket %q: empty leaf", name)
	}
	return c.leaf(depth, id, b, name, nil, nil)
}

func (c *checker) freelist() error {
	id := c.meta.freelist
	b, err := c.page(0, id)
	if err != nil {
		return err
	}
	if native.Uint16(b[8:]) != freelistFlag {
		return pageError(id, "flags %#x: want a freelist", native.Uint16(b[8:]))
	}
	count, ids := uint64(native.Uint16(b[10:])), b[pageHeader:]
	if count == 0xffff {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return pageError(id, "%d free pages do not fit", count)
	}
	for i := range count {
		if err := c.claim(native.Uint64(ids[i*8:]), 0); err != nil {
			return err
		}
	}
	return nil
}

// element is one entry of a branch or leaf page, sharing its memory.
type element struct {
	flags      uint32
	page       uint64
	key, value []byte
}

// elements splits a branch or leaf page. Their data must follow one another
// without a gap, as bbolt writes them. The result is good until the next page
// of the same depth.
func (c *checker) elements(depth int, b []byte, leaf bool) ([]element, error) {
	count := int(native.Uint16(b[10:]))
	data := pageHeader + count*elementSize
	if data > len(b) {
		return nil, fmt.Errorf("%d elements do not fit", count)
	}
	l := c.at(depth)
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
