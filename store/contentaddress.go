package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Method is how the contents of a content-addressed object are hashed.
type Method uint8

// The methods. The zero value is none of them.
const (
	MethodNAR  Method = iota + 1 // the NAR: fixed outputs hashed recursively, sources
	MethodFlat                   // the bytes of the one file that the object is
	MethodText                   // the same, of a file that may have references, such as a derivation
)

// ContentAddress says by what its path holds an object to its contents.
type ContentAddress struct {
	Method Method
	Hash   digest.Digest
}

// ParseContentAddress reads what Info.CA holds: "fixed:r:sha256:…",
// "fixed:sha1:…" or "text:sha256:…".
func ParseContentAddress(s string) (ContentAddress, error) {
	method, rest := MethodFlat, ""
	if hash, ok := strings.CutPrefix(s, "text:"); ok {
		method, rest = MethodText, hash
	} else if hash, ok := strings.CutPrefix(s, "fixed:r:"); ok {
		method, rest = MethodNAR, hash
	} else if rest, ok = strings.CutPrefix(s, "fixed:"); !ok {
		return ContentAddress{}, fmt.Errorf("parse content address %q: want fixed:… or text:…", s)
	}
	hash, err := ParseHash(rest)
	if err != nil {
		return ContentAddress{}, fmt.Errorf("parse content address %q: %w", s, err)
	}
	if method == MethodText && hash.Algorithm() != digest.SHA256 {
		return ContentAddress{}, fmt.Errorf("parse content address %q: a text is hashed by sha256", s)
	}
	return ContentAddress{method, hash}, nil
}

// Path returns the store path of the object with this address, a name, and
// references in any order. Nobody can know the path of an object that refers to
// itself so: what comes back is then that of another.
func (c ContentAddress) Path(dir Dir, name string, refs []Path) (Path, error) {
	p, err := c.path(dir, name, refs)
	if err != nil {
		return "", fmt.Errorf("make store path for %q: %w", name, err)
	}
	return p, nil
}

func (c ContentAddress) path(dir Dir, name string, refs []Path) (Path, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	algorithm, hexDigits, _ := strings.Cut(string(c.Hash), ":")
	if size := hashSize(algorithm); size == 0 || len(hexDigits) != 2*size || strings.Trim(hexDigits, "0123456789abcdef") != "" {
		return "", fmt.Errorf("hash %q is not a digest that Nix knows", c.Hash)
	}
	// The fingerprint is "TYPE:HASH:DIR:NAME"; references follow the type, sorted.
	kind, hash := "source", string(c.Hash)
	switch {
	case c.Method == MethodText:
		kind = "text"
	case c.Method == MethodNAR && algorithm == "sha256":
	case len(refs) > 0:
		return "", errors.New("a fixed output that is not hashed as NAR by sha256 has no references")
	default:
		method := ""
		if c.Method == MethodNAR {
			method = "r:"
		}
		kind, hash = "output:out", digest.FromString("fixed:out:"+method+hash+":").String()
	}
	for _, ref := range sortedSet(refs) {
		kind += ":" + string(ref)
	}
	sum := sha256.Sum256([]byte(kind + ":" + hash + ":" + string(dir) + ":" + name))
	return dir.path(EncodeBase32(compressHash(sum[:], 20)) + "-" + name), nil
}
