package store

import (
	"fmt"
	"strings"
)

// DefaultDir is the store directory of nearly every Nix installation.
const DefaultDir Dir = "/nix/store"

// Limits of a store path, as Nix has them (src/libstore/path.cc).
const (
	digestLen  = 32 // base-32 characters of a 20-byte digest
	maxNameLen = 211
)

// Dir is a store directory: an absolute, clean path such as "/nix/store".
// It is the logical prefix of store paths; where the objects lie on disk may
// differ (see Store).
type Dir string

// parseDir returns s as a store directory. It must be absolute, clean, not
// the root, and free of NUL and newline.
func parseDir(s string) (Dir, error) {
	if !strings.HasPrefix(s, "/") || s == "/" {
		return "", fmt.Errorf("parse store directory %q: want an absolute path", s)
	}
	for part := range strings.SplitSeq(s[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\x00\n") {
			return "", fmt.Errorf("parse store directory %q: not a clean path", s)
		}
	}
	return Dir(s), nil
}

// ParsePath returns s as a store path directly below d. A path below a store
// path ("/nix/store/…-foo/bin") is an error; SplitPath takes those.
func (d Dir) ParsePath(s string) (Path, error) {
	base, ok := strings.CutPrefix(s, string(d)+"/")
	if !ok {
		return "", fmt.Errorf("parse store path %q: not in %s", s, d)
	}
	if err := checkBase(base); err != nil {
		return "", fmt.Errorf("parse store path %q: %w", s, err)
	}
	return Path(s), nil
}

// SplitPath splits a path at or below a store path into the store path and
// the rest, which is empty or begins with a slash.
func (d Dir) SplitPath(s string) (p Path, rest string, err error) {
	head := s
	if tail, ok := strings.CutPrefix(s, string(d)+"/"); ok {
		if i := strings.IndexByte(tail, '/'); i >= 0 {
			head, rest = s[:len(s)-len(tail)+i], tail[i:]
		}
	}
	p, err = d.ParsePath(head)
	return p, rest, err
}

// Join returns the store path with the given base name ("digest-name").
func (d Dir) Join(base string) (Path, error) {
	return d.ParsePath(string(d) + "/" + base)
}

// path is Join for a base name that is known to be one.
func (d Dir) path(base string) Path { return Path(string(d) + "/" + base) }

// Path is a store path: store directory, slash, 32 base-32 characters of
// digest, dash, name. A value made by ParsePath is always well formed.
//
// See https://nix.dev/manual/nix/latest/protocols/store-path.
type Path string

// ParsePath returns s as a store path below whatever directory it names.
func ParsePath(s string) (Path, error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", fmt.Errorf("parse store path %q: want an absolute path", s)
	}
	dir, err := parseDir(s[:i])
	if err != nil {
		return "", fmt.Errorf("parse store path %q: %w", s, err)
	}
	return dir.ParsePath(s)
}

// Dir returns the store directory.
func (p Path) Dir() Dir { return Dir(p[:len(p)-len(p.Base())-1]) }

// Base returns the path without its directory: "digest-name".
func (p Path) Base() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// Digest returns the 32 characters of digest.
func (p Path) Digest() string { return p.Base()[:digestLen] }

// Name returns what follows the digest and its dash.
func (p Path) Name() string { return p.Base()[digestLen+1:] }

func checkBase(base string) error {
	if len(base) < digestLen+2 {
		return fmt.Errorf("too short: want %d characters of digest, a dash and a name", digestLen)
	}
	for i := range digestLen {
		if base32Value[base[i]] < 0 {
			return fmt.Errorf("character %q at %d of the digest is not base-32", base[i], i)
		}
	}
	if base[digestLen] != '-' {
		return fmt.Errorf("character %q after the digest: want a dash", base[digestLen])
	}
	return CheckName(base[digestLen+1:])
}

// CheckName reports whether name may stand in a store path: 1 to 211
// characters of letters, digits and "+-._?=", the first of them no dot.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty name")
	case len(name) > maxNameLen:
		return fmt.Errorf("name has %d characters: at most %d are allowed", len(name), maxNameLen)
	case name[0] == '.':
		return fmt.Errorf("name %q begins with a dot", name)
	}
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.ContainsRune("+-._?=", c):
		default:
			return fmt.Errorf("name %q: character %q is not allowed", name, c)
		}
	}
	return nil
}
