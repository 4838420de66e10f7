package layer

import (
	"encoding/binary"
	"errors"
	"strings"

	"terrine/store"
)

// A Scaffold is the segment of one store object without the contents of its
// files: the names, types and sizes of its entries in the order in which they
// stand in a layer. With the files it gives the segment's bytes; by itself it
// gives their number. It is immutable.
//
// Its encoding is a run of records in depth-first order, each directory's
// entries sorted by name: a tag, the name, then a file's size and time or a
// link's target. A directory's entries follow its record, and a record tagUp
// ends them. Numbers are varints, strings have their length before them. The
// object itself is the first record, with an empty name.
type Scaffold struct {
	Size    int64 // bytes of the segment
	Content int64 // bytes of file content in it
	Entries int   // number of tar entries

	records []byte
}

// Tags of records.
const (
	tagUp byte = iota
	tagDir
	tagFile
	tagExec
	tagSymlink
	tagLink     // a hardlink to a file, named by its path below the store directory
	tagLinkExec // a hardlink to an executable
)

var errScaffold = errors.New("malformed scaffold")

// A record is one entry of a scaffold.
type record struct {
	tag  byte
	name string
	link string
	size int64
	// mtime is when a file was modified, in nanoseconds after one second past
	// 1970, which is what stores set. It does not enter the tar.
	mtime int64
}

// maxFile is the size of the largest file that there can be; it keeps sums from
// overflowing.
const maxFile = 1 << 50

// storeMtime is when every file of a Nix store was modified, in nanoseconds since
// 1970.
const storeMtime = 1e9

func appendRecord(dst []byte, r *record) []byte {
	dst = append(dst, r.tag)
	if r.tag == tagUp {
		return dst
	}
	dst = appendString(dst, r.name)
	switch r.tag {
	case tagFile, tagExec:
		dst = binary.AppendVarint(binary.AppendUvarint(dst, uint64(r.size)), r.mtime)
	case tagSymlink, tagLink, tagLinkExec:
		dst = appendString(dst, r.link)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// A cursor reads the records of a scaffold and keeps the path at which it is.
type cursor struct {
	records []byte
	pos     int
	dir     []byte // path of the directory whose entries come next, with a closing slash; relative to the store directory
	depth   int
}

// entry is a record with its place.
type entry struct {
	record
	path []byte // below the store directory; valid until the next call
}

// next returns the next entry. ok is false at the end.
func (c *cursor) next(base string, e *entry) (ok bool, err error) {
	for c.pos < len(c.records) {
		root := c.pos == 0
		if err := c.read(&e.record); err != nil {
			return false, err
		}
		if e.tag == tagUp {
			if err := c.up(); err != nil {
				return false, err
			}
			continue
		}
		if root != (e.name == "") || !root && c.depth == 0 || strings.IndexByte(e.name, '/') >= 0 {
			return false, errScaffold
		}
		if e.name == "" {
			e.path = append(c.dir[:0], base...)
		} else {
			e.path = append(c.dir, e.name...)
		}
		if e.tag == tagDir {
			c.dir = append(e.path, '/')
			e.path = c.dir[:len(c.dir)-1]
			c.depth++
		} else {
			c.dir = e.path[:len(e.path)-len(e.name)]
			if e.name == "" {
				c.dir = e.path[:0]
			}
		}
		return true, nil
	}
	return false, nil
}

func (c *cursor) up() error {
	if c.depth == 0 {
		return errScaffold
	}
	c.depth--
	c.dir = c.dir[:lastSlash(c.dir[:len(c.dir)-1])+1]
	return nil
}

func lastSlash(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '/' {
			return i
		}
	}
	return -1
}

// read reads the record at c.pos into r and moves past it.
func (c *cursor) read(r *record) error {
	*r = record{tag: c.records[c.pos]}
	c.pos++
	if r.tag == tagUp {
		return nil
	}
	var err error
	if r.name, err = c.string(); err != nil {
		return err
	}
	switch r.tag {
	case tagDir:
	case tagFile, tagExec:
		n, width := binary.Uvarint(c.records[c.pos:])
		if width <= 0 || n > maxFile {
			return errScaffold
		}
		c.pos += width
		r.size = int64(n)
		if r.mtime, width = binary.Varint(c.records[c.pos:]); width <= 0 {
			return errScaffold
		}
		c.pos += width
	case tagSymlink, tagLink, tagLinkExec:
		r.link, err = c.string()
	default:
		err = errScaffold
	}
	return err
}

func (c *cursor) string() (string, error) {
	n, width := binary.Uvarint(c.records[c.pos:])
	if width <= 0 || n > uint64(len(c.records)-c.pos-width) {
		return "", errScaffold
	}
	c.pos += width
	s := string(c.records[c.pos : c.pos+int(n)])
	c.pos += int(n)
	return s, nil
}

// header returns e's tar header for a layer whose store directory is prefix
// ("nix/store/") and whose entries belong to owner.
func (e *entry) header(prefix string, owner *Owner) header {
	h := header{name: prefix + string(e.path), owner: owner}
	switch e.tag {
	case tagDir:
		h.name += "/"
		h.kind, h.mode = kindDir, 0o555
	case tagFile:
		h.kind, h.mode, h.size = kindFile, 0o444, e.size
	case tagExec:
		h.kind, h.mode, h.size = kindFile, 0o555, e.size
	case tagSymlink:
		h.kind, h.mode, h.link = kindSymlink, 0o777, e.link
	case tagLink:
		h.kind, h.mode, h.link = kindLink, 0o444, prefix+e.link
	case tagLinkExec:
		h.kind, h.mode, h.link = kindLink, 0o555, prefix+e.link
	}
	return h
}

// storePrefix returns the names of a store directory's entries in a layer:
// "nix/store/" for "/nix/store".
func storePrefix(dir string) string { return strings.TrimPrefix(dir, "/") + "/" }

// scaffoldFormat is the version of the encoding.
const scaffoldFormat = 2

// Encode returns s in a form that DecodeScaffold reads.
func (s *Scaffold) Encode() []byte {
	b := binary.AppendUvarint(nil, scaffoldFormat)
	b = binary.AppendUvarint(b, uint64(s.Size))
	b = binary.AppendUvarint(b, uint64(s.Content))
	b = binary.AppendUvarint(b, uint64(s.Entries))
	return append(b, s.records...)
}

// DecodeScaffold returns the scaffold of object that b encodes. It walks all of
// it: one of another format, or whose records do not add up to what it says, is
// an error. It keeps b.
func DecodeScaffold(b []byte, object store.Object, policy Policy) (*Scaffold, error) {
	var head [4]uint64
	for i := range head {
		n, width := binary.Uvarint(b)
		if width <= 0 || n > 1<<62 {
			return nil, errScaffold
		}
		head[i], b = n, b[width:]
	}
	said := Scaffold{Size: int64(head[1]), Content: int64(head[2]), Entries: int(head[3])}
	found := Scaffold{}
	c := cursor{records: b}
	prefix, base := storePrefix(string(object.Path.Dir())), object.Path.Base()
	var e entry
	for {
		ok, err := c.next(base, &e)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		h := e.header(prefix, &policy.Owner)
		found.Entries++
		found.Content += h.size
		found.Size += headerSize(&h) + h.size + padding(h.size)
	}
	if head[0] != scaffoldFormat || c.depth != 0 || found.Size != said.Size || found.Content != said.Content || found.Entries != said.Entries {
		return nil, errScaffold
	}
	found.records = b
	return &found, nil
}
