package layer

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
	"terrine/store"
)

// partSize is the number of bytes of tar of which a part has at most. A part is
// what one worker renders, and encodes, at a time.
const partSize = codec.MaxPart

// A segment is a run of a layer's tar that is made by itself.
type segment interface {
	// bytes returns the length of the segment.
	bytes() int64
	// parts calls yield with the segment's parts in order. They depend on
	// nothing but what the segment holds.
	parts(yield func(part))
	// render appends the part's bytes, exactly p.size of them.
	render(dst []byte, r *reader, p part) ([]byte, error)
}

// A part is at most partSize bytes of a segment: whole entries, or a piece of
// one large file.
type part struct {
	pos  int    // where the first entry's record is
	dir  string // the directory in which that entry is; of a tree, the name before
	link string // of a tree, the link before
	skip int64  // bytes of the first entry's tar that earlier parts hold
	size int
}

// literal is a segment of fixed bytes: a layer's first directories, its end.
type literal []byte

func (l literal) bytes() int64 { return int64(len(l)) }

func (l literal) parts(yield func(part)) { yield(part{size: len(l)}) }

func (l literal) render(dst []byte, _ *reader, _ part) ([]byte, error) { return append(dst, l...), nil }

// A cutter divides a segment into parts as it is told of the entries in turn.
// An entry that does not fit into what is left of a part begins a new one; one
// that is larger than a part is spread over several, the last of which goes on
// with the entries that follow.
type cutter struct {
	yield func(part)
	open  part
}

func (c *cutter) add(pos int, dir, link string, size int64) {
	if int64(c.open.size)+size > partSize {
		c.flush()
	}
	if c.open.size == 0 {
		c.open = part{pos: pos, dir: dir, link: link}
	}
	for size > partSize {
		skip := c.open.skip + partSize
		c.open.size = partSize
		c.flush()
		c.open = part{pos: pos, dir: dir, link: link, skip: skip}
		size -= partSize
	}
	c.open.size += int(size)
}

func (c *cutter) flush() {
	if c.open.size > 0 {
		c.yield(c.open)
	}
	c.open = part{}
}

// objectSegment is the segment of one store object.
type objectSegment struct {
	policy   *Policy
	object   store.Object
	scaffold *Scaffold
	prefix   string // "nix/store/"
	base     string // the object's base name
}

// objectSegments makes the segments of several store objects, for one policy.
type objectSegments struct {
	policy    Policy
	prefix    string
	objects   store.Objects
	scaffolds []*Scaffold
}

func (s *objectSegments) at(i int) *objectSegment {
	o := s.objects.At(i)
	return &objectSegment{policy: &s.policy, object: o, scaffold: s.scaffolds[i], prefix: s.prefix, base: o.Path.Base()}
}

func (s *objectSegment) key() digest.Digest { return SegmentKey(*s.policy, s.object) }

func (s *objectSegment) bytes() int64 { return s.scaffold.Size }

func (s *objectSegment) parts(yield func(part)) {
	cut := cutter{yield: yield}
	c := cursor{records: s.scaffold.records}
	var e entry
	dir := ""
	for {
		pos := c.pos
		if dir != string(c.dir) { // the same for many entries
			dir = string(c.dir)
		}
		ok, err := c.next(s.base, &e)
		if !ok || err != nil {
			break // a damaged scaffold shows when its parts are rendered
		}
		cut.add(pos, dir, "", e.tarSize(s.prefix, &s.policy.Owner))
	}
	cut.flush()
}

func (s *objectSegment) render(dst []byte, r *reader, p part) ([]byte, error) {
	c := cursor{records: s.scaffold.records, pos: p.pos, dir: []byte(p.dir), depth: strings.Count(p.dir, "/")}
	end := len(dst) + p.size
	skip := p.skip
	var e entry
	for len(dst) < end {
		ok, err := c.next(s.base, &e)
		if err != nil {
			return dst, err
		}
		if !ok {
			return dst, errScaffold
		}
		if e.tag == tagLink || e.tag == tagLinkExec {
			if err := s.checkLink(r, &e); err != nil {
				return dst, err
			}
		}
		h := e.header(s.prefix, &s.policy.Owner)
		dst, err = appendEntry(dst, end, skip, &h, func(dst []byte, off int64, n int) ([]byte, error) {
			return r.appendObjectFile(dst, &s.object, &e, off, n)
		})
		if err != nil {
			return dst, err
		}
		skip = 0
	}
	return dst, nil
}

// checkLink compares a file that stands in the tar as a link with the one that it is
// a link to. A link has no content: damage would outlast the repair of the file that
// the scaffold was made of.
func (s *objectSegment) checkLink(r *reader, e *entry) error {
	same, err := r.same(&s.object, e.path, []byte(e.link), e.tag == tagLinkExec)
	if err == nil && !same {
		err = &KeptError{s.key(), s.object.Path}
	}
	return err
}

// appendEntry appends the bytes of an entry from skip on, up to the length end
// of dst. read appends n bytes of the file's content from off on.
func appendEntry(dst []byte, end int, skip int64, h *header, read func(dst []byte, off int64, n int) ([]byte, error)) ([]byte, error) {
	off := int64(0)
	if skip == 0 {
		dst = appendHeader(dst, h)
	} else {
		off = skip - headerSize(h)
	}
	n := min(h.size-off, int64(end-len(dst)))
	if n <= 0 {
		return dst, nil
	}
	dst, err := read(dst, off, int(n))
	if err == nil && off+n == h.size {
		dst = appendZeros(dst, padding(h.size))
	}
	return dst, err
}
