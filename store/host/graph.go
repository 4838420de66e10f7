package host

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"terrine/store"
	"terrine/store/fault"
)

// ParseGraph reads a closure from the JSON that Nix makes of
// exportReferencesGraph: an array of objects with the fields path, narHash,
// narSize and references. Other fields are skipped, except deriver, ca and
// signatures, which are kept when they are there; so the output of
// `nix path-info --json -r` is taken too: an array from Nix before 2.19, and from
// later ones an object with the paths as names.
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
	given required // of a path,
	path  uint32   // its number,
	hash  []byte   // its NAR hash as it is written, and
	refs  []uint32 // the numbers of its references
}

// required are the fields that each path has.
type required struct{ path, hash, size, references bool }

func newGraphReader(r io.Reader) *graphReader {
	return &graphReader{jsonReader: newJSONReader(r), list: newListing()}
}

func (g *graphReader) read(key string) (_ *store.Closure, err error) {
	if key == "" {
		err = g.paths()
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

func (g *graphReader) underKey(key string) error {
	if err := g.want(jsontext.KindBeginObject, "file", "an object"); err != nil {
		return err
	}
	var others []string
	found := false
	err := g.elements(jsontext.KindEndObject, func() error {
		name, err := g.text("name")
		if err != nil {
			return err
		}
		if string(name) == key {
			found = true
			return g.paths()
		}
		if len(others) < 20 {
			others = append(others, string(name))
		}
		return g.skip()
	})
	if err == nil && !found {
		err = fault.Hint(fmt.Errorf("no key %q", key), "it has the keys: "+strings.Join(others, ", "))
	}
	return err
}

// paths reads an array of objects, or an object with the paths as names.
func (g *graphReader) paths() error {
	t, err := g.token()
	if err != nil {
		return err
	}
	switch t.Kind() {
	case jsontext.KindBeginArray:
		return g.elements(jsontext.KindEndArray, func() error { return g.element("") })
	case jsontext.KindBeginObject:
		return g.elements(jsontext.KindEndObject, func() error {
			name, err := g.text("name")
			if err != nil {
				return err
			}
			if !bytes.HasPrefix(name, []byte{'/'}) {
				return fault.Hint(g.fail("%q is no path: want an array of paths", name), "name the key that holds the closure: FILE#KEY")
			}
			return g.element(string(name))
		})
	}
	return g.fail("want an array of paths")
}

// element reads the object of a path, which must name it unless that is given.
func (g *graphReader) element(path string) error {
	if g.list.builder.Len() == maxPaths {
		return g.fail("more than %d paths", maxPaths)
	}
	what := cmp.Or(path, "element "+strconv.Itoa(g.list.builder.Len()))
	if err := g.want(jsontext.KindBeginObject, what, "an object"); err != nil {
		return err
	}
	i, line := &store.Info{}, g.line()
	g.given = required{path: path != ""}
	g.path = g.list.builder.Number([]byte(path))
	g.hash, g.refs = g.hash[:0], g.refs[:0]
	if err := g.elements(jsontext.KindEndObject, func() error { return g.field(i) }); err != nil {
		return err
	}
	for _, field := range []struct {
		given bool
		name  string
	}{{g.given.path, "path"}, {g.given.hash, "narHash"}, {g.given.size, "narSize"}, {g.given.references, "references"}} {
		if !field.given {
			return g.fail("%s %s: no field %q", what, g.list.builder.Path(g.path), field.name)
		}
	}
	return g.list.add(g.path, i, string(g.hash), g.refs, line)
}

// field reads a field of a path.
func (g *graphReader) field(i *store.Info) error {
	name, err := g.text("name")
	if err != nil {
		return err
	}
	var b []byte
	switch string(name) {
	case "path":
		g.given.path = true
		b, err = g.text(`field "path"`)
		g.path = g.list.builder.Number(b)
	case "narHash":
		g.given.hash = true
		b, err = g.text(`field "narHash"`)
		g.hash = append(g.hash, b...)
	case "narSize":
		g.given.size = true
		i.NARSize, err = g.size(`field "narSize"`)
	case "references":
		g.given.references = true
		err = g.texts(`field "references"`, func(b []byte) { g.refs = append(g.refs, g.list.builder.Number(b)) })
	case "deriver":
		b, err = g.optional(`field "deriver"`)
		i.Deriver = store.Path(b)
	case "ca":
		b, err = g.optional(`field "ca"`)
		i.CA = string(b)
	case "signatures":
		err = g.texts(`field "signatures"`, func(b []byte) { i.Signatures = append(i.Signatures, string(b)) })
	default:
		err = g.skip()
	}
	return err
}

// optional is text, but null is the empty text.
func (g *graphReader) optional(what string) ([]byte, error) {
	if g.dec.PeekKind() == jsontext.KindNull {
		return nil, g.skip()
	}
	return g.text(what)
}

func (g *graphReader) size(what string) (int64, error) {
	b, err := g.value(jsontext.KindNumber, what, "a number of bytes")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(b), 10, 63)
	if err != nil {
		return 0, g.fail("%s: want a number of bytes", what)
	}
	return int64(n), nil
}

// texts calls each with the texts of an array, which are valid until it returns.
func (g *graphReader) texts(what string, each func([]byte)) error {
	if err := g.want(jsontext.KindBeginArray, what, "an array"); err != nil {
		return err
	}
	n := 0
	return g.elements(jsontext.KindEndArray, func() error {
		if n == maxReferences {
			return g.fail("%s: more than %d elements", what, maxReferences)
		}
		n++
		b, err := g.text(what)
		if err == nil {
			each(b)
		}
		return err
	})
}
