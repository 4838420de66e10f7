package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
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
	g := newGraphReader(r)
	infos, err := g.read(key)
	if err != nil {
		return nil, fmt.Errorf("parse references graph: %w", refuseInput(err))
	}
	return infos, nil
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
	dec   *json.Decoder
	lines *lineCounter
}

func newGraphReader(r io.Reader) *graphReader {
	lines := &lineCounter{r: newBounded(r)}
	dec := json.NewDecoder(lines)
	dec.UseNumber()
	return &graphReader{dec: dec, lines: lines}
}

func (g *graphReader) read(key string) ([]*store.Info, error) {
	var entries []*entry
	var err error
	if key == "" {
		entries, err = g.array()
	} else {
		entries, err = g.underKey(key)
	}
	if err != nil {
		return nil, err
	}
	return g.closure(entries)
}

// closure makes a closure of all that there is to read.
func (g *graphReader) closure(entries []*entry) ([]*store.Info, error) {
	if _, err := g.dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: want the end after the closing bracket", g.at())
	}
	return closure(entries)
}

func (g *graphReader) at() string {
	return "line " + strconv.Itoa(g.line())
}

func (g *graphReader) line() int { return g.lines.at(g.dec.InputOffset()) }

// token returns the next token, with the line in the error.
func (g *graphReader) token() (json.Token, error) {
	t, err := g.dec.Token()
	line := g.line() // which forgets the lines before
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	return t, nil
}

// open consumes an opening bracket.
func (g *graphReader) open(want json.Delim, what string) error {
	t, err := g.token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%s: %s: want %s", g.at(), what, describe(want))
	}
	return nil
}

func describe(d json.Delim) string {
	if d == '{' {
		return "an object"
	}
	return "an array"
}

// object calls field with the name of each field of the object that follows;
// field consumes the value.
func (g *graphReader) object(what string, field func(name string) error) error {
	if err := g.open('{', what); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for g.dec.More() {
		t, err := g.token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok || seen[name] {
			return fmt.Errorf("%s: %s: field %q stands twice", g.at(), what, name)
		}
		seen[name] = true
		if err := field(name); err != nil {
			return err
		}
	}
	_, err := g.token()
	return err
}

// skip consumes a value of any kind.
func (g *graphReader) skip() error {
	depth := 0
	for {
		t, err := g.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > maxNesting {
			return fmt.Errorf("%s: nested deeper than %d", g.at(), maxNesting)
		}
	}
}

func (g *graphReader) underKey(key string) ([]*entry, error) {
	var entries []*entry
	var others []string
	found := false
	err := g.object("file", func(name string) (err error) {
		if name != key {
			if len(others) < 20 {
				others = append(others, name)
			}
			return g.skip()
		}
		found = true
		entries, err = g.array()
		return err
	})
	if err == nil && !found {
		err = fault.Hint(fmt.Errorf("no key %q", key), "it has the keys: "+strings.Join(others, ", "))
	}
	return entries, err
}

func (g *graphReader) array() ([]*entry, error) {
	t, err := g.token()
	if err != nil {
		return nil, err
	}
	if t == json.Delim('{') {
		return nil, fault.Hint(fmt.Errorf("%s: an object: want an array of paths", g.at()),
			"name the key that holds the closure: FILE#KEY")
	}
	if t != json.Delim('[') {
		return nil, fmt.Errorf("%s: want an array of paths", g.at())
	}
	var entries []*entry
	for g.dec.More() {
		if len(entries) == maxPaths {
			return nil, fmt.Errorf("%s: more than %d paths", g.at(), maxPaths)
		}
		e, err := g.fields("element "+strconv.Itoa(len(entries)), "")
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	_, err = g.token()
	return entries, err
}

// fields reads the object of a path, which it must name if path is empty.
func (g *graphReader) fields(what, path string) (*entry, error) {
	e := &entry{path: path}
	given := map[string]bool{"path": path != ""}
	err := g.object(what, func(name string) (err error) {
		given[name] = true
		if e.at == "" {
			e.at = g.at()
		}
		switch name {
		case "path":
			e.path, err = g.text(name)
		case "narHash":
			e.hash, err = g.text(name)
		case "deriver":
			e.deriver, err = g.optional(name)
		case "ca":
			e.ca, err = g.optional(name)
		case "narSize":
			e.size, err = g.size(name)
		case "references":
			e.refs, err = g.texts(name)
		case "signatures":
			e.sigs, err = g.texts(name)
		default:
			err = g.skip()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"path", "narHash", "narSize", "references"} {
		if !given[name] {
			return nil, fmt.Errorf("%s: %s %s: no field %q", g.at(), what, e.path, name)
		}
	}
	return e, nil
}

func (g *graphReader) text(name string) (string, error) {
	t, err := g.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("%s: field %q: want a string", g.at(), name)
	}
	return s, nil
}

// optional is text, but null is the empty string.
func (g *graphReader) optional(name string) (string, error) {
	t, err := g.token()
	if s, ok := t.(string); ok || t == nil {
		return s, err
	}
	return "", fmt.Errorf("%s: field %q: want a string or null", g.at(), name)
}

func (g *graphReader) size(name string) (int64, error) {
	t, err := g.token()
	if err != nil {
		return 0, err
	}
	number, _ := t.(json.Number)
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%s: field %q: want a number of bytes", g.at(), name)
	}
	return int64(n), nil
}

func (g *graphReader) texts(name string) ([]string, error) {
	if err := g.open('[', "field "+strconv.Quote(name)); err != nil {
		return nil, err
	}
	var list []string
	for g.dec.More() {
		if len(list) == maxReferences {
			return nil, fmt.Errorf("%s: field %q: more than %d elements", g.at(), name, maxReferences)
		}
		s, err := g.text(name)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	_, err := g.token()
	return list, err
}
