package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// SourcePath returns the path of an object that is addressed by the hash of
// its NAR, as `nix-store --add` and fixed outputs hashed recursively with
// sha256 are. The digest must be a sha256. refs are the paths it refers to,
// in any order; self says that it refers to itself besides, and narHash is
// then the hash modulo that reference.
func SourcePath(dir Dir, name string, narHash digest.Digest, refs []Path, self bool) (Path, error) {
	if narHash.Validate() != nil || narHash.Algorithm() != digest.SHA256 {
		return "", fmt.Errorf("make store path for %q: NAR hash %q is not a sha256", name, narHash)
	}
	return makePath(dir, withReferences("source", refs, self), string(narHash), name)
}

// fixedOutputPath returns the path of a fixed output without references.
// hash is of the NAR when recursive, else of the bytes of the one file that the
// output is, in any algorithm of ParseHash.
func fixedOutputPath(dir Dir, name string, hash digest.Digest, recursive bool) (Path, error) {
	algorithm, hexDigits, ok := strings.Cut(string(hash), ":")
	raw, err := hex.DecodeString(hexDigits)
	if !ok || err != nil || len(raw) == 0 || len(raw) != hashSize(algorithm) || hexDigits != strings.ToLower(hexDigits) {
		return "", fmt.Errorf("make store path for %q: hash %q is not a digest that Nix knows", name, hash)
	}
	method := ""
	if recursive {
		method = "r:"
	}
	if recursive && algorithm == "sha256" {
		return SourcePath(dir, name, hash, nil, false)
	}
	inner := sha256.Sum256([]byte("fixed:out:" + method + string(hash) + ":"))
	return makePath(dir, "output:out", "sha256:"+hex.EncodeToString(inner[:]), name)
}

// withReferences appends references to the type of a path as Nix does: in the
// order of paths, the reference to itself last.
func withReferences(kind string, refs []Path, self bool) string {
	sorted := slices.Clone(refs)
	slices.Sort(sorted)
	var b strings.Builder
	b.WriteString(kind)
	for _, ref := range slices.Compact(sorted) {
		b.WriteString(":" + string(ref))
	}
	if self {
		b.WriteString(":self")
	}
	return b.String()
}

// makePath hashes the fingerprint "TYPE:HASH:DIR:NAME" into a store path.
func makePath(dir Dir, kind, hash, name string) (Path, error) {
	if err := CheckName(name); err != nil {
		return "", fmt.Errorf("make store path for %q: %w", name, err)
	}
	sum := sha256.Sum256([]byte(kind + ":" + hash + ":" + string(dir) + ":" + name))
	return dir.path(EncodeBase32(compressHash(sum[:], 20)) + "-" + name), nil
}
