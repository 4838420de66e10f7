package layer

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"terrine/builder/rootfs"
)

// NewTree makes a layer of the entries of tree, all of them modified at mtime, in
// seconds since 1970.
func NewTree(ctx context.Context, tree *rootfs.Tree, mtime int64) (*Layer, error) {
	s := &treeSegment{mtime: mtime}
	l := &Layer{tail: end()}
	err := tree.Each(ctx, func(e rootfs.Entry) error {
		h := s.header(&e)
		s.size += headerSize(&h) + h.size + padding(h.size)
		s.entries++
		l.Content += h.size
		return s.append(&e)
	})
	if err != nil {
		return nil, err
	}
	if s.entries > 0 {
		l.head, l.Entries = s, s.entries
	}
	l.Size = s.size + l.tail.bytes()
	return l, nil
}

// treeSegment is a segment of entries that each say everything of themselves. A
// root layer may link to a million files, so they are kept as records: a tag, and
// then either a name and a link, as the number of bytes that they share with
// those of the link before and the rest, or the index of an entry.
type treeSegment struct {
	mtime   int64
	size    int64
	entries int
	records []byte
	others  []treeOther // what is no link that belongs to root
	last    treeCursor  // after the last record
}

// Tags of the records of a tree.
const (
	tagTreeLink byte = iota
	tagTreeOther
)

// A treeOther is an entry, and of a file on disk what must not change of it.
type treeOther struct {
	rootfs.Entry
	stamp stamp
}

// A treeCursor reads records in order, and remembers the last link.
type treeCursor struct {
	pos        int
	name, link string
}

func (s *treeSegment) append(e *rootfs.Entry) error {
	plain := rootfs.Entry{Name: e.Name, Kind: rootfs.Symlink, Mode: 0o777, Uname: "root", Gname: "root", Link: e.Link}
	if e.Kind != rootfs.Symlink || e.Mode != plain.Mode || e.UID != 0 || e.GID != 0 || e.Uname != "root" || e.Gname != "root" {
		other := treeOther{Entry: *e}
		if e.Kind == rootfs.File && e.Text == nil {
			var err error
			if other.stamp, err = sourceStamp(e); err != nil {
				return err
			}
		}
		s.records = binary.AppendUvarint(append(s.records, tagTreeOther), uint64(len(s.others)))
		s.others = append(s.others, other)
		return nil
	}
	s.records = append(s.records, tagTreeLink)
	s.records = appendShared(s.records, s.last.name, e.Name)
	s.records = appendShared(s.records, s.last.link, e.Link)
	s.last.name, s.last.link = e.Name, e.Link
	return nil
}

// sourceStamp returns the stamp of the file that an entry is made of, if its size
// is still the one that the entry has.
func sourceStamp(e *rootfs.Entry) (stamp, error) {
	var st unix.Stat_t
	if _, err := ignoringEINTR(func() (int, error) { return 0, unix.Stat(e.Source, &st) }); err != nil {
		return stamp{}, fmt.Errorf("stat %s: %w", e.Source, err)
	}
	is := newStamp(&st)
	if was := (stamp{size: e.Size, mtime: is.mtime, regular: true, executable: is.executable}); is != was {
		return stamp{}, changed(place{dir: e.Source}, was, is)
	}
	return is, nil
}

// appendShared appends s as what it shares with the string before.
func appendShared(dst []byte, before, s string) []byte {
	n := 0
	for n < len(before) && n < len(s) && before[n] == s[n] {
		n++
	}
	return appendString(binary.AppendUvarint(dst, uint64(n)), s[n:])
}

// next reads the record at c into e. The records are our own: they are not
// malformed.
func (s *treeSegment) next(c *treeCursor, e *treeOther) {
	tag := s.records[c.pos]
	c.pos++
	if tag == tagTreeOther {
		*e = s.others[s.number(c)]
		return
	}
	c.name = s.shared(c, c.name)
	c.link = s.shared(c, c.link)
	e.Entry = rootfs.Entry{Name: c.name, Kind: rootfs.Symlink, Mode: 0o777, Uname: "root", Gname: "root", Link: c.link}
}

func (s *treeSegment) number(c *treeCursor) int {
	n, width := binary.Uvarint(s.records[c.pos:])
	c.pos += width
	return int(n)
}

func (s *treeSegment) shared(c *treeCursor, before string) string {
	keep := s.number(c)
	rest := s.number(c)
	c.pos += rest
	return before[:keep] + string(s.records[c.pos-rest:c.pos])
}

func (s *treeSegment) bytes() int64 { return s.size }

func (s *treeSegment) header(e *rootfs.Entry) header {
	h := header{
		name:  e.Name,
		mode:  e.Mode,
		owner: &Owner{UID: e.UID, GID: e.GID, Uname: e.Uname, Gname: e.Gname, Mtime: s.mtime},
	}
	switch e.Kind {
	case rootfs.Dir:
		h.name += "/"
		h.kind = kindDir
	case rootfs.Symlink:
		h.kind, h.link = kindSymlink, e.Link
	default:
		h.kind, h.size = kindFile, e.Size
	}
	return h
}

func (s *treeSegment) parts(yield func(part)) {
	cut := cutter{yield: yield}
	var c treeCursor
	var e treeOther
	for c.pos < len(s.records) {
		before := c
		s.next(&c, &e)
		h := s.header(&e.Entry)
		cut.add(before.pos, before.name, before.link, headerSize(&h)+h.size+padding(h.size))
	}
	cut.flush()
}

func (s *treeSegment) render(dst []byte, r *reader, p part) ([]byte, error) {
	end := len(dst) + p.size
	skip := p.skip
	c := treeCursor{pos: p.pos, name: p.dir, link: p.link}
	var e treeOther
	for len(dst) < end {
		s.next(&c, &e)
		h := s.header(&e.Entry)
		var err error
		dst, err = appendEntry(dst, end, skip, &h, func(dst []byte, off int64, n int) ([]byte, error) {
			if e.Text != nil {
				return append(dst, e.Text[off:off+int64(n)]...), nil
			}
			return r.appendSource(dst, &e, off, n)
		})
		if err != nil {
			return dst, err
		}
		skip = 0
	}
	return dst, nil
}

// appendSource appends n bytes from off of the file that an entry is made of.
func (r *reader) appendSource(dst []byte, e *treeOther, off int64, n int) ([]byte, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(e.Source, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	})
	if err != nil {
		return dst, fmt.Errorf("open %s: %w", e.Source, err)
	}
	defer unix.Close(fd)
	return r.appendFile(dst, fd, place{dir: e.Source}, e.stamp, off, n)
}
