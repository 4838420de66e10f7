package durable

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// checkFile returns an error of class fault.StoreDamaged for a file that
// bbolt should not be given. With whole it reads all of it; otherwise the
// meta pages and the size. The caller holds the lock.
func checkFile(path string, whole bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // a FIFO would keep us waiting
		return damaged("damaged: it is no file")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
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
	es, err := c.at(depth).split(b, false)
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
	es, err := c.at(depth).split(b, true)
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
