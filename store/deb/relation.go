package deb

import (
	"regexp"
	"strings"
)

// Relation is a package, by its name, and a bound of its version.
type Relation struct {
	Name    string
	Arch    string // after a colon: "any", "native" or an architecture; mostly empty
	Op      string // <<, <=, =, >= or >>; empty for any version
	Version string
}

// Clause is a list of alternatives, of which one is wanted, the first first.
type Clause []Relation

// String writes the relation as in a control file.
func (r Relation) String() string {
	s := r.Name
	if r.Arch != "" {
		s += ":" + r.Arch
	}
	if r.Op != "" {
		s += " (" + r.Op + " " + r.Version + ")"
	}
	return s
}

// String writes the clause as in a control file.
func (c Clause) String() string {
	parts := make([]string, len(c))
	for i, r := range c {
		parts[i] = r.String()
	}
	return strings.Join(parts, " | ")
}

// maxClauses bounds a list; metapackages have some thousand.
const maxClauses = 1 << 14

// relationPattern is NAME[:ARCH] [(OP VERSION)] [[ARCHES]] [<PROFILES>…]. The last
// two are for sources, and mean nothing in what was built.
var relationPattern = regexp.MustCompile(
	`^([a-z0-9][a-z0-9+.-]+)(?::([a-z0-9-]+))?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^\s()]+)\s*\))?\s*(?:\[[^\][]*\])?\s*(?:<[^<>]*>\s*)*$`)

// parseClauses reads a list of clauses, with commas between them.
func parseClauses(s string) ([]Clause, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var clauses []Clause
	for text := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(text) == "" {
			continue // some lists end with a comma
		}
		var c Clause
		for alternative := range strings.SplitSeq(text, "|") {
			r, err := parseRelation(strings.TrimSpace(alternative))
			if err != nil {
				return nil, err
			}
			c = append(c, r)
		}
		if clauses = append(clauses, c); len(clauses) > maxClauses {
			return nil, malformed("more than %d", maxClauses)
		}
	}
	return clauses, nil
}

func parseRelation(s string) (Relation, error) {
	m := relationPattern.FindStringSubmatch(s)
	if m == nil || len(m[1]) > maxName || m[4] != "" && (len(m[4]) > maxName || !versionPattern.MatchString(m[4])) {
		return Relation{}, malformed("%.200q is no package", s)
	}
	r := Relation{Name: m[1], Arch: m[2], Op: m[3], Version: m[4]}
	switch r.Op { // as dpkg reads what it calls obsolete
	case "<":
		r.Op = "<="
	case ">":
		r.Op = ">="
	}
	return r, nil
}

// met reports whether a version is within the bound.
func (r Relation) met(version string) bool {
	if r.Op == "" {
		return true
	}
	c := compareVersions(version, r.Version)
	switch r.Op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	}
	return c > 0
}
