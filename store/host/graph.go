package host

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"terrine/store"
	"terrine/store/fault"
)

// ParseGraph reads a closure from the JSON that Nix makes of
// exportReferencesGraph: an array of objects with the fields path, narHash,
// narSize and references. Other fields are skipped, except deriver, ca and
// signatures, which are kept when they are there; so the output of
// `nix path-info --json -r`, as an array, is taken too.
//
// With a key, r is an object, such as the .attrs.json of a derivation with
// structured attributes, and the array stands under that key.
//
// The result is sorted by path. Errors are of class fault.Refused and name
// line and field. See the package comment for what is checked.
//
// See https://nix.dev/manual/nix/latest/language/advanced-attributes#adv-attr-exportReferencesGraph.
func ParseGraph(r io.Reader, key string) ([]*store.Info, error) {
	return infos(parseGraph(r, key))
}

func parseGraph(r io.Reader, key string) (*store.Closure, error) {
	c, err := newGraphReader(r).read(key)
	if err != nil {
		return nil, fmt.Errorf("parse references graph: %w", refuseInput(err))
	}
	return c, nil
}

// refuseInput gives err the class of bad input, unless it has one or comes
// from reading.
func refuseInput(err error) error {
	var ioErr *readError
	if fault.CodeOf(err) != fault.Failed || errors.As(err, &ioErr) {
		return err
	}
	return fault.New(fault.Refused, err)
}

type graphReader struct {
	*jsonReader
	list  *listing
	given map[string]bool // the fields of a path,
	path  uint32          // its number,
	hash  []byte          // its NAR hash as it is written, and
	refs  []uint32        // the numbers of its references
}

func newGraphReader(r io.Reader) *graphReader {
	return &graphReader{jsonReader: newJSONReader(r), list: newListing(), given: make(map[string]bool)}
}

func (g *graphReader) read(key string) (_ *store.Closure, err error) {
	if key == "" {
		err = g.array()
	} else {
		err = g.underKey(key)
	}
	if err != nil {
		return nil, err
	}
	return g.closure()
}

// closure makes a closure of all that there is to read.
func (g *graphReader) closure() (*store.Closure, error) {
	if err := g.end(); err != nil {
		return nil, err
	}
	return g.list.closure()
}

// object calls field with the name of each field of the object that follows, which
// it puts into seen; field consumes the value.
func (g *graphReader) object(what string, seen map[string]bool, field func(name string) error) error {
	if err := g.open('{', what); err != nil {
		return err
	}
	clear(seen)
	return g.elements('}', func() error {
		name, err := g.name()
		if err != nil {
			return err
		}
		if seen[name] {
			return g.fail("%s: field %q stands twice", what, name)
		}
		seen[name] = true
		return field(name)
	})
}

func (g *graphReader) underKey(key string) error {
	var others []string
	found := false
	err := g.object("file", make(map[string]bool), func(name string) error {
		if name == key {
			found = true
			return g.array()
		}
		if len(others) < 20 {
			others = append(others, name)
		}
		return g.skip(0)
	})
	if err == nil && !found {
		err = fault.Hint(fmt.Errorf("no key %q", key), "it has the keys: "+strings.Join(others, ", "))
	}
	return err
}

func (g *graphReader) array() error {
	c, err := g.peek()
	if err != nil {
		return err
	}
	if c == '{' {
		return fault.Hint(g.fail("an object: want an array of paths"), "name the key that holds the closure: FILE#KEY")
	}
	if c != '[' {
		return g.unlike(c, "want an array of paths")
	}
	g.pos++
	return g.elements(']', func() error { return g.element("") })
}

// element reads the object of a path, which must name it unless that is given.
func (g *graphReader) element(path string) error {
	if g.list.builder.Len() == maxPaths {
		return g.fail("more than %d paths", maxPaths)
	}
	what := cmp.Or(path, "element "+strconv.Itoa(g.list.builder.Len()))
	i := &store.Info{}
	g.path = g.list.builder.Number([]byte(path))
	line := 0
	g.hash, g.refs = g.hash[:0], g.refs[:0]
	err := g.object(what, g.given, func(name string) error {
		line = cmp.Or(line, g.line)
		return g.field(i, name)
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"path", "narHash", "narSize", "references"} {
		if !g.given[name] && (name != "path" || path == "") {
			return g.fail("%s %s: no field %q", what, g.list.builder.Path(g.path), name)
		}
	}
	return g.list.add(g.path, i, string(g.hash), g.refs, line)
}

// field reads the value of a field of a path.
func (g *graphReader) field(i *store.Info, name string) (err error) {
	var b []byte
	switch name {
	case "path":
		b, err = g.textOf(name)
		g.path = g.list.builder.Number(b)
	case "narHash":
		b, err = g.textOf(name)
		g.hash = append(g.hash, b...)
	case "deriver":
		b, err = g.optional(name)
		i.Deriver = store.Path(b)
	case "ca":
		b, err = g.optional(name)
		i.CA = string(b)
	case "narSize":
		i.NARSize, err = g.size(name)
	case "references":
		err = g.texts(name, func(b []byte) { g.refs = append(g.refs, g.list.builder.Number(b)) })
	case "signatures":
		err = g.texts(name, func(b []byte) { i.Signatures = append(i.Signatures, string(b)) })
	default:
		err = g.skip(0)
	}
	return err
}

// textOf reads the text that is the value of a field.
func (g *graphReader) textOf(name string) ([]byte, error) {
	c, err := g.peek()
	if err != nil {
		return nil, err
	}
	if c != '"' {
		return nil, g.unlike(c, "field %q: want a string", name)
	}
	return g.text()
}

// optional is textOf, but null is the empty text.
func (g *graphReader) optional(name string) ([]byte, error) {
	c, err := g.peek()
	if err != nil || c != 'n' {
		return g.textOf(name)
	}
	_, err = g.word()
	return nil, err
}

func (g *graphReader) size(name string) (int64, error) {
	c, err := g.peek()
	if err != nil {
		return 0, err
	}
	if !isNumber(c) {
		return 0, g.unlike(c, "field %q: want a number of bytes", name)
	}
	word, err := g.word()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(word), 10, 63)
	if err != nil {
		return 0, g.fail("field %q: want a number of bytes", name)
	}
	return int64(n), nil
}

// texts calls each with the texts of an array, which are valid until it returns.
func (g *graphReader) texts(name string, each func([]byte)) error {
	if err := g.open('[', "field "+strconv.Quote(name)); err != nil {
		return err
	}
	n := 0
	return g.elements(']', func() error {
		if n == maxReferences {
			return g.fail("field %q: more than %d elements", name, maxReferences)
		}
		n++
		b, err := g.textOf(name)
		if err == nil {
			each(b)
		}
		return err
	})
}
