package binarycache

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/compression"
	"terrine/store/fault"
)

// Bounds of what is taken from a cache.
const (
	maxInfo       = 4 << 20  // bytes of a narinfo: the largest environments have some ten thousand references
	maxSize       = 1 << 42  // bytes of a NAR or file: beyond it a number is a mistake
	maxSignatures = 64       // of one path
	maxURL        = 4 << 10  // bytes of where a NAR is
	maxCacheInfo  = 64 << 10 // bytes of nix-cache-info: three lines
)

// Narinfo is what a cache says of a path, and where its NAR is.
type Narinfo struct {
	store.Info
	URL         string // of the file, relative to the cache or absolute
	Compression compression.Format
	FileHash    digest.Digest // sha256 of the file as it is stored; empty if the cache does not say
	FileSize    int64         // bytes of it; 0 if the cache does not say
}

// parseNarinfo reads a narinfo for a store in dir. A line that is no field, a
// field given twice, one that is missing, and a value that is not well-formed
// are errors of class fault.Refused that name the line. Fields and forms of
// signatures that are not known are passed over, as Nix does: newer ones come.
func parseNarinfo(dir store.Dir, text []byte) (*Narinfo, error) {
	n, err := parseFields(dir, text)
	if err != nil {
		return nil, fault.New(fault.Refused, fmt.Errorf("parse narinfo: %w", err))
	}
	return n, nil
}

func parseFields(dir store.Dir, text []byte) (*Narinfo, error) {
	if len(text) > maxInfo {
		return nil, fmt.Errorf("%d bytes: at most %d are allowed", len(text), maxInfo)
	}
	if len(text) == 0 || text[len(text)-1] != '\n' {
		return nil, errors.New("cut off: no newline at its end")
	}
	n := &Narinfo{Compression: compression.Bzip2} // what Nix takes if it is not said
	seen := make(map[string]bool)
	line := 0
	for s := range strings.Lines(string(text)) {
		line++
		name, value, ok := strings.Cut(strings.TrimSuffix(s, "\n"), ":")
		if !ok || name == "" || value != "" && value[0] != ' ' {
			return nil, fmt.Errorf("line %d: %.80q is no field", line, s)
		}
		if seen[name] && name != "Sig" {
			return nil, fmt.Errorf("line %d: %s given twice", line, name)
		}
		seen[name] = true
		if err := n.set(dir, name, strings.TrimPrefix(value, " ")); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", line, name, err)
		}
	}
	for _, name := range []string{"StorePath", "URL", "NarHash", "NarSize"} {
		if !seen[name] {
			return nil, fmt.Errorf("no %s", name)
		}
	}
	return n, nil
}

// set takes one field.
func (n *Narinfo) set(dir store.Dir, name, value string) (err error) {
	switch name {
	case "StorePath":
		n.Path, err = dir.ParsePath(value)
	case "URL":
		n.URL, err = value, checkURL(value)
	case "Compression":
		if value != "" { // Nix takes it for not said
			n.Compression, err = compression.Parse(value)
		}
	case "FileHash":
		n.FileHash, err = parseSHA256(value)
	case "FileSize":
		if value != "0" { // the same
			n.FileSize, err = parseSize(value)
		}
	case "NarHash":
		n.NARHash, err = parseSHA256(value)
	case "NarSize":
		n.NARSize, err = parseSize(value)
	case "References":
		n.References, err = parseReferences(dir, value)
	case "Deriver":
		if value != "unknown-deriver" && value != "" {
			n.Deriver, err = dir.Join(value)
		}
	case "Sig":
		err = n.addSignature(value)
	case "CA":
		if n.CA = value; value != "" {
			_, err = store.ParseContentAddress(value)
		}
	}
	return err
}

// addSignature takes a signature. One in another form is none that a key of ours
// has made, and is no reason not to look at the others.
func (n *Narinfo) addSignature(value string) error {
	if len(n.Signatures) >= maxSignatures {
		return fmt.Errorf("more than %d", maxSignatures)
	}
	if _, _, err := parseSignature(value); err != nil {
		return nil
	}
	if i, found := slices.BinarySearch(n.Signatures, value); !found {
		n.Signatures = slices.Insert(n.Signatures, i, value)
	}
	return nil
}

func checkURL(s string) error {
	switch {
	case s == "":
		return errors.New("empty")
	case len(s) > maxURL:
		return fmt.Errorf("%d bytes: at most %d are allowed", len(s), maxURL)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return fmt.Errorf("%q has characters that no URL has", s)
	}
	return nil
}

func parseSHA256(s string) (digest.Digest, error) {
	d, err := store.ParseHash(s)
	if err == nil && d.Algorithm() != digest.SHA256 {
		err = fmt.Errorf("%s is not a sha256", s)
	}
	return d, err
}

func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > maxSize || s[0] == '+' {
		return 0, fmt.Errorf("%q is no number of bytes from 1 to %d", s, int64(maxSize))
	}
	return n, nil
}

// parseReferences reads base names. The result is sorted.
func parseReferences(dir store.Dir, s string) ([]store.Path, error) {
	var refs []store.Path
	for base := range strings.FieldsSeq(s) {
		ref, err := dir.Join(base)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	slices.Sort(refs)
	return slices.Compact(refs), nil
}

// format returns the narinfo as Nix writes it.
func (n *Narinfo) format() []byte {
	var b strings.Builder
	field := func(name, value string) { b.WriteString(name + ": " + value + "\n") }
	field("StorePath", string(n.Path))
	field("URL", n.URL)
	field("Compression", string(n.Compression))
	if n.FileHash != "" {
		field("FileHash", store.FormatHash(n.FileHash))
	}
	if n.FileSize != 0 {
		field("FileSize", strconv.FormatInt(n.FileSize, 10))
	}
	n.Fields(field)
	return []byte(b.String())
}

// formatCacheInfo returns nix-cache-info.
func formatCacheInfo(dir store.Dir) []byte { return []byte("StoreDir: " + string(dir) + "\n") }

// checkCacheInfo reports whether text is the nix-cache-info of a cache for
// paths in dir.
func checkCacheInfo(dir store.Dir, text []byte) error {
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if name != "StoreDir" {
			continue
		}
		if got := strings.TrimSpace(value); got != string(dir) {
			return fault.New(fault.Refused, fmt.Errorf("it is for paths in %.200q, not in %s", got, dir))
		}
		return nil
	}
	return fault.New(fault.Refused, errors.New("its nix-cache-info names no StoreDir"))
}
