package layer

import (
	"fmt"

	"golang.org/x/sys/unix"

	"terrine/builder/rootfs"
)

// NewTree makes a layer of entries in their order, all of them modified at
// mtime, in seconds since 1970. The entries must not change afterwards.
func NewTree(entries []rootfs.Entry, mtime int64) *Layer {
	l := &Layer{}
	if len(entries) > 0 {
		s := &treeSegment{entries: entries, mtime: mtime}
		for i := range entries {
			h := s.header(i)
			s.size += headerSize(&h) + h.size + padding(h.size)
			l.Content += h.size
		}
		l.add(s, len(entries))
	}
	l.add(end(), 0)
	return l
}

// treeSegment is a segment of entries that each say everything of themselves.
type treeSegment struct {
	entries []rootfs.Entry
	mtime   int64
	size    int64
}

func (s *treeSegment) bytes() int64 { return s.size }

func (s *treeSegment) header(i int) header {
	e := &s.entries[i]
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
	for i := range s.entries {
		h := s.header(i)
		cut.add(i, nil, headerSize(&h)+h.size+padding(h.size))
	}
	cut.flush()
}

func (s *treeSegment) render(dst []byte, r *reader, p part) ([]byte, error) {
	end := len(dst) + p.size
	skip := p.skip
	for i := p.pos; len(dst) < end; i++ {
		h := s.header(i)
		var err error
		dst, err = appendEntry(dst, end, skip, &h, func(dst []byte, off int64, n int) ([]byte, error) {
			e := &s.entries[i]
			if e.Text != nil {
				return append(dst, e.Text[off:off+int64(n)]...), nil
			}
			return r.appendSource(dst, e, off, n)
		})
		if err != nil {
			return dst, err
		}
		skip = 0
	}
	return dst, nil
}

// appendSource appends n bytes from off of the file that an entry is made of.
func (r *reader) appendSource(dst []byte, e *rootfs.Entry, off int64, n int) ([]byte, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(e.Source, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	})
	if err != nil {
		return dst, fmt.Errorf("open %s: %w", e.Source, err)
	}
	defer unix.Close(fd)
	return r.appendFile(dst, fd, e.Source, e.Size, off, n)
}
