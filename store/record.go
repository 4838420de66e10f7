package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// record is what the store keeps of a path: a row of the index, and an info file.
type record struct {
	Info
	Registered time.Time // to the second
}

// infoHeader begins an info file; its number changes with the format.
const infoHeader = "terrine path info 1"

// encode returns the fields of a record, one a line. See the package comment.
func (r *record) encode() []byte {
	var b bytes.Buffer
	field := func(name, value string) { b.WriteString(name + ": " + value + "\n") }
	field("StorePath", string(r.Path))
	r.Fields(field)
	field("Registered", strconv.FormatInt(r.Registered.Unix(), 10))
	return b.Bytes()
}

// decodeRecord undoes encode. base must be that of the path.
func decodeRecord(dir Dir, base string, b []byte) (*record, error) {
	r := &record{}
	for line := range strings.Lines(string(b)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			return nil, fmt.Errorf("record of %s: line %q is no field", base, line)
		}
		if err := r.set(dir, name, value); err != nil {
			return nil, fmt.Errorf("record of %s: %s: %w", base, name, err)
		}
	}
	if r.Path == "" || r.Path.Base() != base || r.NARHash == "" || r.NARSize <= 0 {
		return nil, fmt.Errorf("record of %s: incomplete", base)
	}
	return r, nil
}

func (r *record) set(dir Dir, name, value string) (err error) {
	switch name {
	case "StorePath":
		r.Path, err = dir.ParsePath(value)
	case "NarHash":
		r.NARHash, err = ParseHash(value)
	case "NarSize":
		r.NARSize, err = strconv.ParseInt(value, 10, 64)
	case "References":
		for base := range strings.FieldsSeq(value) {
			ref, err := dir.Join(base)
			if err != nil {
				return err
			}
			r.References = append(r.References, ref)
		}
	case "Deriver":
		r.Deriver, err = dir.Join(value)
	case "Sig":
		r.Signatures = append(r.Signatures, value)
	case "CA":
		r.CA = value
	case "Registered":
		var seconds int64
		seconds, err = strconv.ParseInt(value, 10, 64)
		r.Registered = time.Unix(seconds, 0)
	default:
		err = errors.New("unknown field")
	}
	return err
}

// encodeFile returns an info file: header, record, and the SHA-256 of both.
func (r *record) encodeFile() []byte {
	b := append([]byte(infoHeader+"\n"), r.encode()...)
	sum := sha256.Sum256(b)
	return append(b, "Checksum: "+hex.EncodeToString(sum[:])+"\n"...)
}

// decodeFile undoes encodeFile.
func decodeFile(dir Dir, base string, b []byte) (*record, error) {
	i := bytes.LastIndex(b, []byte("Checksum: "))
	if i < 0 {
		return nil, fmt.Errorf("info file of %s: cut off", base)
	}
	sum := sha256.Sum256(b[:i])
	if string(b[i:]) != "Checksum: "+hex.EncodeToString(sum[:])+"\n" {
		return nil, fmt.Errorf("info file of %s: does not match its checksum", base)
	}
	rest, ok := bytes.CutPrefix(b[:i], []byte(infoHeader+"\n"))
	if !ok {
		return nil, fmt.Errorf("info file of %s: made by another version of terrine", base)
	}
	return decodeRecord(dir, base, rest)
}

// normal returns a copy of i that keeps the promises of Info, or says what is
// wrong with it.
func (s *Store) normal(i *Info) (*Info, error) {
	if err := s.own(i.Path); err != nil {
		return nil, err
	}
	if err := i.NARHash.Validate(); err != nil || i.NARHash.Algorithm() != digest.SHA256 {
		return nil, fmt.Errorf("%s: NAR hash %q: want a sha256", i.Path, i.NARHash)
	}
	if i.NARSize <= 0 {
		return nil, fmt.Errorf("%s: NAR size %d: want more than 0 bytes", i.Path, i.NARSize)
	}
	c := *i
	c.References = sortedSet(i.References)
	c.Signatures = sortedSet(i.Signatures)
	for _, ref := range c.References {
		if err := s.own(ref); err != nil {
			return nil, fmt.Errorf("%s: references: %w", i.Path, err)
		}
	}
	if c.Deriver != "" {
		if err := s.own(c.Deriver); err != nil {
			return nil, fmt.Errorf("%s: deriver: %w", i.Path, err)
		}
	}
	if strings.Contains(strings.Join(c.Signatures, "")+c.CA, "\n") {
		return nil, fmt.Errorf("%s: newline in a signature or content address", i.Path)
	}
	return &c, nil
}

// sortedSet returns the elements of list, sorted, each once; nil for none.
func sortedSet[T cmp.Ordered](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	set := slices.Clone(list)
	slices.Sort(set)
	return slices.Compact(set)
}
