package layer

import (
	"context"
	"crypto/sha256"
	"errors"

	"golang.org/x/sync/errgroup"

	"terrine/store"
)

// dedup replaces the scaffolds of objects by ones in which a file that is equal
// to an earlier one, in content and mode, is a hardlink to it. What the file
// system links says nothing: a store may link equal files, or not.
//
// Files are read for it before they are packed, since a link has no content and so
// decides where all that follows it will stand. Of most files that is nothing, or a
// first block: only those are read in full that are equal in size and mode to
// another, and in their first block.
func dedup(ctx context.Context, objects store.Objects, scaffolds []*Scaffold, policy Policy, workers int) error {
	var roots roots
	defer roots.close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, workers))
	for i := range objects.Len() {
		g.Go(func() (err error) {
			d := deduper{ctx: ctx, object: objects.At(i), scaffold: scaffolds[i], reader: reader{roots: &roots, ctx: ctx}}
			defer d.reader.dirs.close()
			scaffolds[i], err = d.run(&policy.Owner)
			return err
		})
	}
	return g.Wait()
}

// A deduper works on one object.
type deduper struct {
	ctx      context.Context
	object   store.Object
	scaffold *Scaffold
	reader   reader
	buf      []byte
	sizes    map[sizeAndMode]int // how many files there are
	heads    []headKey           // of files of which there are several of a size, in order
	alike    map[headKey]int     // how many of them begin like that
}

type sizeAndMode struct {
	size int64
	tag  byte
}

const (
	// headSize is how much of a file is looked at first: what a disk reads anyway.
	headSize = 4096

	// dedupBuffer is how much is read at a time. The file is opened for each.
	dedupBuffer = 256 << 10
)

// A headKey is what equal files have in common, as far as their first block tells.
type headKey struct {
	sizeAndMode
	sum string // digest of the first block
}

// run returns the scaffold with links.
func (d *deduper) run(owner *Owner) (*Scaffold, error) {
	some, err := d.count()
	if err != nil || !some {
		return d.scaffold, err
	}
	d.buf = make([]byte, 0, dedupBuffer)
	if some, err = d.look(); err != nil || !some {
		return d.scaffold, err
	}
	first := map[string]string{} // path by mode and digest of the content
	out := &Scaffold{}
	records := make([]byte, 0, len(d.scaffold.records))
	prefix := storePrefix(string(d.object.Path.Dir()))
	err = d.each(func(e *entry) error {
		if e.tag == tagUp {
			records = append(records, tagUp)
			return nil
		}
		if err := d.link(e, first); err != nil {
			return err
		}
		out.add(e, prefix, owner)
		records = appendRecord(records, &e.record)
		return nil
	})
	out.records = string(records)
	return out, err
}

// link makes e a link if an equal file came before.
func (d *deduper) link(e *entry, first map[string]string) error {
	if !d.several(e) {
		return nil
	}
	head := d.heads[0]
	d.heads = d.heads[1:]
	if d.alike[head] < 2 {
		return nil
	}
	sum := head.sum // of all that there is, if it fits
	if e.size > headSize {
		var err error
		if sum, err = d.hash(e, e.size); err != nil {
			return err
		}
	}
	key := string(e.tag) + sum
	target, ok := first[key]
	if !ok {
		first[key] = string(e.path)
		return nil
	}
	e.link, e.size = target, 0
	if e.tag == tagExec {
		e.tag = tagLinkExec
	} else {
		e.tag = tagLink
	}
	return nil
}

// count counts files by size and mode, and reports whether two could be equal.
func (d *deduper) count() (some bool, err error) {
	d.sizes = map[sizeAndMode]int{}
	err = d.each(func(e *entry) error {
		if e.tag == tagFile || e.tag == tagExec {
			k := sizeAndMode{e.size, e.tag}
			d.sizes[k]++
			some = some || e.size > 0 && d.sizes[k] > 1
		}
		return nil
	})
	return some, err
}

// several reports whether e is a file that could be equal to another, by its size.
func (d *deduper) several(e *entry) bool {
	return (e.tag == tagFile || e.tag == tagExec) && e.size > 0 && d.sizes[sizeAndMode{e.size, e.tag}] > 1
}

// look reads the first blocks of files of which there are several of a size, and
// reports whether two could still be equal.
func (d *deduper) look() (some bool, err error) {
	d.alike = map[headKey]int{}
	err = d.each(func(e *entry) error {
		if !d.several(e) {
			return nil
		}
		sum, err := d.hash(e, min(e.size, headSize))
		if err != nil {
			return err
		}
		head := headKey{sizeAndMode{e.size, e.tag}, sum}
		d.heads = append(d.heads, head)
		d.alike[head]++
		some = some || d.alike[head] > 1
		return nil
	})
	return some, err
}

// each calls f with every record in turn, the ends of directories included.
func (d *deduper) each(f func(*entry) error) error {
	c := cursor{records: d.scaffold.records}
	base := d.object.Path.Base()
	var e entry
	for c.pos < len(c.records) {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		if c.records[c.pos] == tagUp {
			c.pos++
			if err := errors.Join(c.up(), f(&entry{record: record{tag: tagUp}})); err != nil {
				return err
			}
			continue
		}
		if ok, err := c.next(base, &e); err != nil || !ok {
			return errScaffold
		}
		if err := f(&e); err != nil {
			return err
		}
	}
	return nil
}

// hash returns the digest of the first n bytes of a file.
func (d *deduper) hash(e *entry, n int64) (string, error) {
	h := sha256.New()
	for off := int64(0); off < n; off += dedupBuffer {
		err := d.ctx.Err()
		if err != nil {
			return "", err
		}
		d.buf, err = d.reader.appendObjectFile(d.buf[:0], &d.object, e, off, int(min(n-off, dedupBuffer)))
		if err != nil {
			return "", err
		}
		h.Write(d.buf)
	}
	return string(h.Sum(nil)), nil
}
