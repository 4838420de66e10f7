package deb

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Package is what a package says of itself.
type Package struct {
	Name         string
	Version      string
	Architecture string     // as Debian names it; "all" for any
	Depends      []Clause   // Pre-Depends and Depends; all of them must be met
	Provides     []Relation // names that it answers to as well
}

// maxName bounds names and versions; the longest in Debian have less than 100.
const maxName = 128

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	versionPattern = regexp.MustCompile(`^(?:[0-9]+:)?[0-9A-Za-z][0-9A-Za-z.+~-]*(?::[0-9A-Za-z.+~-]*)*$`)
	archPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
)

// parseControl reads a control file: one paragraph of fields.
func parseControl(text []byte) (*Package, error) {
	fields, err := parseParagraph(text)
	if err != nil {
		return nil, fmt.Errorf("control file: %w", err)
	}
	p := &Package{Name: fields["package"], Version: fields["version"], Architecture: fields["architecture"]}
	for _, f := range []struct {
		name, value string
		pattern     *regexp.Regexp
	}{
		{"Package", p.Name, namePattern}, {"Version", p.Version, versionPattern}, {"Architecture", p.Architecture, archPattern},
	} {
		if len(f.value) > maxName || !f.pattern.MatchString(f.value) {
			return nil, malformed("control file: %s %.200q is not well-formed", f.name, f.value)
		}
	}
	for _, name := range []string{"pre-depends", "depends"} {
		clauses, err := parseClauses(fields[name])
		if err != nil {
			return nil, fmt.Errorf("control file of %s: %s: %w", p.Name, name, err)
		}
		p.Depends = append(p.Depends, clauses...)
	}
	provided, err := parseClauses(fields["provides"])
	if err != nil {
		return nil, fmt.Errorf("control file of %s: provides: %w", p.Name, err)
	}
	for _, c := range provided {
		if len(c) != 1 || c[0].Op != "" && c[0].Op != "=" {
			return nil, malformed("control file of %s: provides: %s: want a name, or a name and = with a version", p.Name, c)
		}
		p.Provides = append(p.Provides, c[0])
	}
	return p, nil
}

// parseParagraph returns fields by their names in lower case. Lines that
// continue a field are joined to it.
func parseParagraph(text []byte) (map[string]string, error) {
	if !utf8.Valid(text) {
		return nil, malformed("it is not UTF-8")
	}
	parts := make(map[string][]string) // of the values of fields
	last, n := "", 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.TrimSpace(line) == "":
			if last != "" {
				last = "\n" // nothing but empty lines may follow
			}
		case last == "\n":
			return nil, malformed("line %d: more than one paragraph", n)
		case line[0] == ' ' || line[0] == '\t':
			if last == "" {
				return nil, malformed("line %d continues nothing", n)
			}
			parts[last] = append(parts[last], strings.TrimSpace(line))
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok || name == "" || strings.ContainsAny(name, " \t") {
				return nil, malformed("line %d: %.80q is no field", n, line)
			}
			last = strings.ToLower(name)
			if parts[last] != nil {
				return nil, malformed("line %d: %s given twice", n, name)
			}
			parts[last] = []string{strings.TrimSpace(value)}
		}
	}
	fields := make(map[string]string, len(parts))
	for name, values := range parts {
		fields[name] = strings.Join(values, " ")
	}
	return fields, nil
}
