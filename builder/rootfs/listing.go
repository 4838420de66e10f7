package rootfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// listingHead is the first line of a list in the format of mtree(5).
const listingHead = "#mtree"

// maxListedLine bounds a line of a list: each byte of a path takes up to four.
const maxListedLine = 4*maxPathLen + 256

// listedKeys are what a line says of an entry, in order.
var listedKeys = [...]string{"type", "mode", "uid", "gid"}

// writeListed writes the line of an entry: its name, which begins with "./" and
// has all but plain characters as octal numbers, and what a store does not keep.
func writeListed(w io.Writer, e *Entry) error {
	kind := map[Kind]string{Dir: "dir", File: "file", Symlink: "link"}[e.Kind]
	name := "./" + escapeName(e.Name)
	if e.Name == rootName {
		name = rootName
	}
	_, err := fmt.Fprintf(w, "%s type=%s mode=%04o uid=%d gid=%d\n", name, kind, e.Mode, e.UID, e.GID)
	return err
}

func escapeName(s string) string {
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c > '~' || strings.IndexByte(`\#=*?[`, c) >= 0 {
			fmt.Fprintf(&out, `\%03o`, c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func unescapeName(s string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out.WriteByte(s[i])
			continue
		}
		if i+4 > len(s) {
			return "", errors.New("a backslash without three digits")
		}
		n, err := strconv.ParseUint(s[i+1:i+4], 8, 8)
		if err != nil {
			return "", errors.New("a backslash without three digits")
		}
		out.WriteByte(byte(n))
		i += 3
	}
	return out.String(), nil
}

// parseListing reads what writeListed has written: the entries by their names,
// with no content.
func parseListing(r io.Reader) (map[string]*Entry, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxListedLine)
	listed := make(map[string]*Entry)
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			if lines.Text() != listingHead {
				return nil, fmt.Errorf("%s:1: want %s", recordedListing, listingHead)
			}
			continue
		}
		e, err := parseListed(lines.Text())
		if err == nil && listed[e.Name] != nil {
			err = fmt.Errorf("%q is listed twice", e.Name)
		}
		if err == nil && len(listed) == maxEntries {
			err = fmt.Errorf("more than %d entries", maxEntries)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", recordedListing, n, err)
		}
		listed[e.Name] = e
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", recordedListing, err)
	}
	return listed, nil
}

func parseListedName(word string) (string, error) {
	if word == rootName {
		return word, nil
	}
	word, ok := strings.CutPrefix(word, "./")
	if !ok {
		return "", fmt.Errorf("%.80q does not begin with ./", word)
	}
	name, err := unescapeName(word)
	if err != nil {
		return "", err
	}
	return name, CheckPath(name)
}

func parseListed(line string) (*Entry, error) {
	name, rest, _ := strings.Cut(line, " ")
	name, err := parseListedName(name)
	if err != nil {
		return nil, err
	}
	words := strings.Split(rest, " ")
	if len(words) != len(listedKeys) {
		return nil, fmt.Errorf("%q has %d attributes, want type, mode, uid and gid", name, len(words))
	}
	for i, key := range listedKeys {
		value, ok := strings.CutPrefix(words[i], key+"=")
		if !ok {
			return nil, fmt.Errorf("%q: want %s=, not %.80q", name, key, words[i])
		}
		words[i] = value
	}
	kind, ok := map[string]Kind{"dir": Dir, "file": File, "link": Symlink}[words[0]]
	if !ok {
		return nil, fmt.Errorf("%q: unknown type %.80q", name, words[0])
	}
	var numbers [3]int // mode, uid, gid
	for i, value := range words[1:] {
		base, limit := 10, uint64(min(math.MaxUint32-1, math.MaxInt))
		if i == 0 {
			base, limit = 8, 0o7777
		}
		v, err := strconv.ParseUint(value, base, 32)
		if err != nil || v > limit {
			return nil, fmt.Errorf("%q: %.80q is no %s", name, value, listedKeys[i+1])
		}
		numbers[i] = int(v)
	}
	return &Entry{Name: name, Kind: kind, Mode: uint32(numbers[0]), UID: numbers[1], GID: numbers[2]}, nil
}
