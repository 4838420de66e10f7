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

	records string
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
	records string
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
			c.depth++
		} else {
			c.dir = e.path[:len(e.path)-len(e.name)] // of an object that is no directory: nothing comes next
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

func lastSlash[T string | []byte](b T) int {
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
		n, err := c.number()
		if err != nil || n > maxBytes {
			return errScaffold
		}
		r.size = int64(n)
		if n, err = c.number(); err != nil {
			return err
		}
		r.mtime = int64(n>>1) ^ -int64(n&1) // as binary.AppendVarint has it
	case tagSymlink, tagLink, tagLinkExec:
		r.link, err = c.string()
	default:
		err = errScaffold
	}
	return err
}

func (c *cursor) string() (string, error) {
	n, err := c.number()
	if err != nil || n > uint64(len(c.records)-c.pos) {
		return "", errScaffold
	}
	s := c.records[c.pos : c.pos+int(n)]
	c.pos += int(n)
	return s, nil
}

// number reads what binary.AppendUvarint has written.
func (c *cursor) number() (n uint64, err error) {
	for shift := 0; c.pos < len(c.records) && shift < 64; shift += 7 {
		b := c.records[c.pos]
		c.pos++
		if b < 0x80 {
			if shift == 63 && b > 1 {
				break // more than 64 bits
			}
			return n | uint64(b)<<shift, nil
		}
		n |= uint64(b&0x7f) << shift
	}
	return 0, errScaffold
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

// tarSize returns the number of bytes that e takes in a layer: its header, its
// content and what fills the last block.
func (e *entry) tarSize(prefix string, owner *Owner) int64 {
	content := e.content()
	if e.oneBlock(prefix, owner) {
		return blockSize + content + padding(content)
	}
	h := e.header(prefix, owner)
	return headerSize(&h) + content + padding(content)
}

// oneBlock reports whether e's header surely needs no PAX record. It is what
// headerSize finds for nearly all entries, without the work of making a header.
func (e *entry) oneBlock(prefix string, owner *Owner) bool {
	var buf [prefixSize + 1 + nameSize]byte
	n := len(prefix) + len(e.path) + len("/")
	if n > len(buf) || len(prefix)+len(e.link) > nameSize || e.content() > maxOctal11 || !owner.plain() {
		return false
	}
	name := append(append(buf[:0], prefix...), e.path...)
	if e.tag == tagDir {
		name = append(name, '/')
	}
	_, _, ok := splitName(name)
	return ok
}

// content returns the number of bytes of content that e has in a layer.
func (e *entry) content() int64 {
	if e.tag == tagFile || e.tag == tagExec {
		return e.size
	}
	return 0
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
// an error.
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
	found.records = string(b)
	c := cursor{records: found.records}
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
		if found.add(&e, prefix, &policy.Owner); found.Size > maxBytes {
			return nil, errScaffold // before the sum overflows
		}
	}
	if head[0] != scaffoldFormat || c.depth != 0 || found.Size != said.Size || found.Content != said.Content || found.Entries != said.Entries {
		return nil, errScaffold
	}
	return &found, nil
}

// add counts e.
func (s *Scaffold) add(e *entry, prefix string, owner *Owner) {
	s.Entries++
	s.Content += e.content()
	s.Size += e.tarSize(prefix, owner)
}
