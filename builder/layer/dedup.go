package layer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

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
func dedup(ctx context.Context, objects []store.Object, scaffolds []*Scaffold, policy Policy, workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, workers))
	for i := range objects {
		g.Go(func() (err error) {
			d := deduper{ctx: ctx, object: &objects[i], scaffold: scaffolds[i]}
			scaffolds[i], err = d.run(&policy.Owner)
			return err
		})
	}
	return g.Wait()
}

// A deduper works on one object.
type deduper struct {
	ctx      context.Context
	object   *store.Object
	scaffold *Scaffold
	sizes    map[sizeAndMode]int // how many files there are
	heads    []headKey           // of files of which there are several of a size, in order
	alike    map[headKey]int     // how many of them begin like that
}

type sizeAndMode struct {
	size int64
	tag  byte
}

// headSize is how much of a file is looked at first: what a disk reads anyway.
const headSize = 4096

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

// hash returns the digest of the first n bytes of a file, which must have them.
func (d *deduper) hash(e *entry, n int64) (string, error) {
	h := sha256.New()
	path := filepath.Join(d.object.Dir, string(e.path))
	got, err := copyFile(h, path, n)
	if err == nil && got != n {
		err = stale(place{dir: path}, fmt.Sprintf("it had %d bytes and has %d", e.size, got))
	}
	return string(h.Sum(nil)), err
}

// copyFile writes the first n bytes of a regular file to w, or all that it has. It
// follows no symlink to the file, and does not wait for a FIFO.
func copyFile(w io.Writer, path string, n int64) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	got, err := io.Copy(w, io.LimitReader(f, n))
	if err != nil {
		return got, fmt.Errorf("read %s: %w", path, err)
	}
	return got, nil
}

// linked makes the NAR of a hardlink, which says nothing of its content: the file
// is read once more.
func (n *narCheck) linked(e *entry) {
	path := filepath.Join(n.segment.object.Dir, string(e.path))
	st, err := os.Lstat(path)
	if err != nil {
		return // the hash will differ
	}
	n.regular(e.tag == tagLinkExec, st.Size())
	_, _ = copyFile(n.hash, path, st.Size()) // likewise
	n.endFile()
}
