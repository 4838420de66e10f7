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
}

type sizeAndMode struct {
	size int64
	tag  byte
}

// run returns the scaffold with links.
func (d *deduper) run(owner *Owner) (*Scaffold, error) {
	some, err := d.count()
	if err != nil || !some {
		return d.scaffold, err
	}
	first := map[string]string{} // path by mode and digest of the content
	out := &Scaffold{records: make([]byte, 0, len(d.scaffold.records))}
	prefix := storePrefix(string(d.object.Path.Dir()))
	err = d.each(func(e *entry) error {
		if e.tag == tagUp {
			out.records = append(out.records, tagUp)
			return nil
		}
		if err := d.link(e, first); err != nil {
			return err
		}
		h := e.header(prefix, owner)
		out.Entries++
		out.Content += h.size
		out.Size += headerSize(&h) + h.size + padding(h.size)
		out.records = appendRecord(out.records, &e.record)
		return nil
	})
	return out, err
}

// link makes e a link if an equal file came before.
func (d *deduper) link(e *entry, first map[string]string) error {
	if e.size == 0 || d.sizes[sizeAndMode{e.size, e.tag}] < 2 {
		return nil
	}
	sum, err := d.hash(string(e.path))
	if err != nil {
		return err
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

func (d *deduper) hash(path string) (string, error) {
	h := sha256.New()
	err := copyFile(h, filepath.Join(d.object.Dir, path))
	return string(h.Sum(nil)), err
}

// copyFile writes the content of a regular file to w. It follows no symlink to
// the file, and does not wait for a FIFO.
func copyFile(w io.Writer, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
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
	_ = copyFile(n.hash, path) // likewise
	n.endFile()
}
