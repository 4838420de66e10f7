package builder

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"terrine/store/fault"
)

// ParseSpec reads image.json. filename is named in errors, and paths in the
// spec are relative to its directory ("-" or "": to the current one).
//
// Reading is strict: an unknown field, a field given twice, a value of a wrong
// type or out of range, and anything after the spec are errors that name the
// field and its line and column, with the class fault.Refused.
func ParseSpec(data []byte, filename string) (*Spec, error) {
	if filename == "" {
		filename = "-"
	}
	doc, root, err := parseDocument(data, filename)
	if err != nil {
		return nil, err
	}
	p := &specParser{document: doc, spec: defaults()}
	if filename != "-" {
		p.dir = filepath.Dir(filename)
	}
	if err := p.fields(root, "", p.table()); err != nil {
		return nil, err
	}
	if p.spec.Name == "" {
		return nil, p.errorAt(root.off, "", errors.New(`field "name" is missing`))
	}
	return p.spec, nil
}

// specParser turns the values of a document into a Spec.
type specParser struct {
	*document
	spec *Spec
	dir  string // of the file
	// respellings of the config, in the order of the text
	respellings []respelling
}

// field takes the value of one field.
type field func(v *jsonValue, path string) error

// table holds the fields of a spec.
func (p *specParser) table() map[string]field {
	t := map[string]field{
		"$schema":        p.textInto(new(string), nil), // for editors
		"contents":       p.contents,
		"config":         p.config,
		"layering":       p.layering,
		"files":          p.files,
		"perms":          p.perms,
		"labels":         func(v *jsonValue, path string) error { return p.labels(v, path, &p.spec.Labels) },
		"annotations":    func(v *jsonValue, path string) error { return p.labels(v, path, &p.spec.Annotations) },
		"fakeNss":        p.fakeNss,
		"rootTree":       p.rootTree,
		"caCertificates": p.contentField(&p.spec.CACertificates),
		"binSh":          p.contentField(&p.spec.BinSh),
		"usrBinEnv":      p.contentField(&p.spec.UsrBinEnv),
		"created":        p.when,
		"mtime":          p.when,
	}
	for _, name := range []string{"name", "tag", "architecture", "os", "variant", "uname", "gname", "conflicts", "join"} {
		t[name] = p.textField
	}
	for _, name := range []string{"uid", "gid", "maxLayers"} {
		t[name] = p.numberField
	}
	for _, name := range []string{"includeStorePaths", "includeNixDB", "tmp"} {
		t[name] = p.truthField
	}
	return t
}

// fields gives each member of an object to its function in table.
func (p *specParser) fields(v *jsonValue, path string, table map[string]field) error {
	if err := p.want(v, path, kindObject); err != nil {
		return err
	}
	for _, m := range v.members {
		at := joinPath(path, m.key)
		take, ok := table[m.key]
		if !ok {
			return p.errorAt(m.off, at, p.unknownField(path, m.key, slices.Sorted(maps.Keys(table))))
		}
		if err := take(m.value, at); err != nil {
			return err
		}
	}
	return nil
}

func (p *specParser) unknownField(path, key string, names []string) error {
	near := fault.Nearest(key, names)
	if path == "" && !strings.EqualFold(near, key) {
		for known := range p.configTable() {
			if strings.EqualFold(known, key) {
				return fmt.Errorf("unknown field: %q is a field of config", known)
			}
		}
	}
	if near != "" {
		return fmt.Errorf("unknown field: did you mean %q?", near)
	}
	return fmt.Errorf("unknown field: known are %s", strings.Join(names, ", "))
}

// want reports whether v is one of kinds.
func (p *specParser) want(v *jsonValue, path string, kinds ...jsonKind) error {
	if slices.Contains(kinds, v.kind) {
		return nil
	}
	texts := make([]string, len(kinds))
	for i, k := range kinds {
		texts[i] = string(k)
	}
	return p.errorAt(v.off, path, fmt.Errorf("want %s, not %s", strings.Join(texts, " or "), v.kind))
}

// text returns a string that check, unless nil, accepts.
func (p *specParser) text(v *jsonValue, path string, check func(string) error) (string, error) {
	if err := p.want(v, path, kindString); err != nil {
		return "", err
	}
	if check != nil {
		if err := check(v.text); err != nil {
			return "", p.errorAt(v.off, path, err)
		}
	}
	return v.text, nil
}

// number returns a whole number in a range.
func (p *specParser) number(v *jsonValue, path string, low, high int64) (int64, error) {
	if err := p.want(v, path, kindNumber); err != nil {
		return 0, err
	}
	n, err := wholeNumber(v.text)
	if err == nil {
		err = checkRange(n, low, high)
	}
	if err != nil {
		return 0, p.errorAt(v.off, path, err)
	}
	return n, nil
}

// wholeNumber reads a JSON number. As in JSON Schema 1.0 and 1e2 are whole.
func wholeNumber(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) >= 1<<63 {
		return 0, fmt.Errorf("%s is too large", s)
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	if f == 0 && !strings.ContainsAny(mantissa, "123456789") {
		return 0, nil
	}
	// Not for an f of 0: the exponent of 1e-999999999 would take forever.
	if f != 0 {
		if r, ok := new(big.Rat).SetString(s); ok && r.IsInt() && r.Num().IsInt64() {
			return r.Num().Int64(), nil
		}
	}
	return 0, fmt.Errorf("%s is not a whole number", s)
}

func (p *specParser) truth(v *jsonValue, path string) (bool, error) {
	return v.truth, p.want(v, path, kindBool)
}

// texts returns an array of strings that check accepts.
func (p *specParser) texts(v *jsonValue, path string, check func(string) error) ([]string, error) {
	if err := p.want(v, path, kindArray); err != nil {
		return nil, err
	}
	out := make([]string, 0, len(v.items))
	for i, item := range v.items {
		s, err := p.text(item, indexPath(path, i), check)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// textInto is the field that stores a string that check, unless nil, accepts.
func (p *specParser) textInto(to *string, check func(string) error) field {
	return func(v *jsonValue, path string) (err error) {
		*to, err = p.text(v, path, check)
		return err
	}
}

func (p *specParser) textField(v *jsonValue, path string) error {
	_, err := p.text(v, path, func(s string) error { return p.spec.setText(path, s) })
	return err
}

func (p *specParser) numberField(v *jsonValue, path string) error {
	n, err := p.number(v, path, math.MinInt64, math.MaxInt64)
	if err != nil {
		return err
	}
	if err := p.spec.setNumber(path, n); err != nil {
		return p.errorAt(v.off, path, err)
	}
	return nil
}

func (p *specParser) truthField(v *jsonValue, path string) error {
	b, err := p.truth(v, path)
	if err != nil {
		return err
	}
	return p.spec.setTruth(path, b)
}

// when takes created and mtime: a string, or a number of seconds.
func (p *specParser) when(v *jsonValue, path string) error {
	if v.kind == kindString {
		return p.textField(v, path)
	}
	if err := p.want(v, path, kindString, kindNumber); err != nil {
		return err
	}
	n, err := p.number(v, path, minInstant, maxInstant)
	if err != nil {
		return err
	}
	if err := p.spec.setText(path, "@"+strconv.FormatInt(n, 10)); err != nil {
		return p.errorAt(v.off, path, err)
	}
	return nil
}
