package builder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"terrine/store/fault"
)

// MaxSpecSize is how many bytes of a spec ParseSpec takes. With texts of files in
// it, a large one has some hundred KB.
const MaxSpecSize = 16 << 20

// maxSpecDepth is how deep values in a spec may nest. No sensible one comes near
// it.
const maxSpecDepth = 64

// maxNumber is how many characters a number in a spec may have. Whether a long one
// is whole takes minutes to tell.
const maxNumber = 1000

// jsonKind is what a JSON value is. Its text can be put after "want".
type jsonKind string

const (
	kindObject jsonKind = "an object"
	kindArray  jsonKind = "an array"
	kindString jsonKind = "a string"
	kindNumber jsonKind = "a number"
	kindBool   jsonKind = "true or false"
	kindNull   jsonKind = "null"
)

// jsonValue is a JSON value that knows where it stands. encoding/json alone
// takes the last of two equal keys, folds the case of keys, replaces broken
// Unicode, and does not say where an unknown field is; a spec must not be
// read that way.
type jsonValue struct {
	kind     jsonKind
	off, end int          // data[off:end] is its text
	text     string       // kindString: unescaped; kindNumber: as written
	truth    bool         // kindBool
	members  []jsonMember // kindObject, in the order of the text
	items    []*jsonValue // kindArray
}

type jsonMember struct {
	key   string
	off   int
	value *jsonValue
}

// document is a JSON text and the name of the file it is from.
type document struct {
	file string
	data []byte
	dec  *json.Decoder
	// steps lead to the value that is being read. A path made of them anew for each
	// value would be long for what stands under a long key.
	steps []step
}

// step is a member of an object, or an item of an array, which has no key.
type step struct {
	key   string
	index int // -1 for a member
}

// path returns the JSON path of the value that is being read.
func (d *document) path() (path string) {
	for _, s := range d.steps {
		if s.index < 0 {
			path = joinPath(path, s.key)
		} else {
			path = indexPath(path, s.index)
		}
	}
	return path
}

// refused gives err the class of malformed input.
func refused(err error) error { return fault.New(fault.Refused, err) }

// errorAt returns an error that names the file, line and column (in
// characters, from 1) of a byte, and the JSON path of a value unless empty.
func (d *document) errorAt(off int, path string, err error) error {
	before := d.data[:min(off, len(d.data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	if path != "" {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return refused(fmt.Errorf("parse spec %s:%d:%d: %w", d.file, line, column, err))
}

// parseDocument returns the one value that data holds. Every error has the
// class Refused and a position.
func parseDocument(data []byte, file string) (*document, *jsonValue, error) {
	d := &document{file: file, data: data}
	if len(data) > MaxSpecSize {
		return nil, nil, refused(fmt.Errorf("parse spec %s: more than %d bytes", file, MaxSpecSize))
	}
	if i := invalidUTF8(data); i >= 0 {
		return nil, nil, d.errorAt(i, "", fmt.Errorf("byte %#02x is not UTF-8", data[i]))
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		off := len(data)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			off = max(0, int(syntax.Offset)-1)
		}
		switch {
		case len(bytes.TrimSpace(data)) == 0:
			err = errors.New("the file is empty")
		case bytes.HasPrefix(data, []byte("\ufeff")):
			err = errors.New("it begins with a byte order mark, which JSON must not have")
		}
		return nil, nil, d.errorAt(off, "", err)
	}
	d.dec = json.NewDecoder(bytes.NewReader(data))
	d.dec.UseNumber()
	v, err := d.value()
	return d, v, err
}

// start returns where the next token begins.
func (d *document) start() int {
	off := int(d.dec.InputOffset())
	for off < len(d.data) && strings.IndexByte(" \t\r\n,:", d.data[off]) >= 0 {
		off++
	}
	return off
}

// value reads the next value. The text is known to be well formed.
func (d *document) value() (*jsonValue, error) {
	v := &jsonValue{off: d.start()}
	token, err := d.dec.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, d.errorAt(v.off, d.path(), err)
	}
	if len(d.steps) > maxSpecDepth {
		return nil, d.errorAt(v.off, d.path(), fmt.Errorf("nested more than %d levels deep", maxSpecDepth))
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			err = d.object(v)
		} else {
			err = d.array(v)
		}
	case string:
		v.kind, v.text = kindString, token
	case json.Number:
		v.kind, v.text = kindNumber, token.String()
		if len(v.text) > maxNumber {
			err = d.errorAt(v.off, d.path(), fmt.Errorf("a number of %d characters: at most %d are read", len(v.text), maxNumber))
		}
	case bool:
		v.kind, v.truth = kindBool, token
	default:
		v.kind = kindNull
	}
	if err != nil {
		return nil, err
	}
	v.end = int(d.dec.InputOffset())
	if v.kind == kindString && brokenEscape(d.data[v.off:v.end]) {
		return nil, d.errorAt(v.off, d.path(), errors.New("half of a surrogate pair is no character"))
	}
	return v, nil
}

// below reads the value that a step leads to.
func (d *document) below(s step) (*jsonValue, error) {
	d.steps = append(d.steps, s)
	v, err := d.value()
	d.steps = d.steps[:len(d.steps)-1]
	return v, err
}

func (d *document) object(v *jsonValue) error {
	v.kind = kindObject
	first := make(map[string]int)
	for d.dec.More() {
		key, err := d.value()
		if err != nil {
			return err
		}
		if at, ok := first[key.text]; ok {
			line := bytes.Count(d.data[:at], []byte("\n")) + 1
			return d.errorAt(key.off, joinPath(d.path(), key.text), fmt.Errorf("field given twice, first in line %d", line))
		}
		first[key.text] = key.off
		value, err := d.below(step{key.text, -1})
		if err != nil {
			return err
		}
		v.members = append(v.members, jsonMember{key.text, key.off, value})
	}
	_, err := d.dec.Token()
	return err
}

func (d *document) array(v *jsonValue) error {
	v.kind = kindArray
	for d.dec.More() {
		item, err := d.below(step{index: len(v.items)})
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	_, err := d.dec.Token()
	return err
}

// joinPath returns the JSON path of a member: a.b, or a["b c"].
func joinPath(path, key string) string {
	for i := range len(key) {
		c := key[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return path + "[" + strconv.Quote(key) + "]"
		}
	}
	switch {
	case key == "":
		return path + `[""]`
	case path == "":
		return key
	}
	return path + "." + key
}

func indexPath(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// invalidUTF8 returns where data stops to be UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

// brokenEscape reports whether a JSON string, quotes included, escapes half of
// a surrogate pair: encoding/json makes U+FFFD of it.
func brokenEscape(quoted []byte) bool {
	unit := func(i int) (int64, bool) {
		if i+6 > len(quoted) || quoted[i] != '\\' || quoted[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseInt(string(quoted[i+2:i+6]), 16, 32)
		return n, err == nil
	}
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		n, ok := unit(i)
		switch {
		case !ok:
			i++ // a two-character escape
		case n >= 0xdc00 && n <= 0xdfff:
			return true
		case n >= 0xd800 && n <= 0xdbff:
			if low, ok := unit(i + 6); !ok || low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 11
		default:
			i += 5
		}
	}
	return false
}
