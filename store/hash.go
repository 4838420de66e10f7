package store

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// FormatHash returns d as Nix writes hashes: "sha256:" and the digest in
// base-32. What is no digest, such as the empty one of an Info whose hash is
// not known, comes back as it is.
func FormatHash(d digest.Digest) string {
	algorithm, hexDigits, _ := strings.Cut(string(d), ":")
	raw, err := hex.DecodeString(hexDigits)
	if err != nil || len(raw) == 0 {
		return string(d)
	}
	return algorithm + ":" + EncodeBase32(raw)
}

// ParseHash returns the hash that s spells in any way Nix does: an algorithm,
// a colon and the digest in base-16, base-32 or base-64; or, as in Subresource
// Integrity, a dash and base-64. The algorithms are Nix's: md5, sha1, sha256,
// sha512. The first two, which fixed outputs still use, are no algorithms of
// go-digest: Validate refuses them, as it refuses sha512 in a program that does
// not import crypto/sha512.
func ParseHash(s string) (digest.Digest, error) {
	at := strings.IndexAny(s, ":-")
	if at < 0 {
		return "", fmt.Errorf("parse hash %q: want an algorithm, a colon and a digest", s)
	}
	algorithm, text := s[:at], s[at+1:]
	size := hashSize(algorithm)
	if size == 0 {
		return "", fmt.Errorf("parse hash %q: algorithm %q is not md5, sha1, sha256 or sha512", s, algorithm)
	}
	raw, err := decodeDigest(text, size, s[at] == '-')
	if err != nil {
		return "", fmt.Errorf("parse hash %q: %w", s, err)
	}
	return digest.Digest(algorithm + ":" + hex.EncodeToString(raw)), nil
}

// compressHash folds h into n bytes by exclusive or, which is how Nix makes
// the 20 bytes of a store path from the 32 of a SHA-256.
func compressHash(h []byte, n int) []byte {
	out := make([]byte, n)
	for i, b := range h {
		out[i%n] ^= b
	}
	return out
}

// hashSize returns the bytes of a digest of one of Nix's algorithms, or 0.
func hashSize(algorithm string) int {
	switch algorithm {
	case "md5":
		return 16
	case "sha1":
		return 20
	case "sha256":
		return 32
	case "sha512":
		return 64
	}
	return 0
}

// decodeDigest decodes a digest of size bytes. Its length tells the encoding.
func decodeDigest(text string, size int, sri bool) ([]byte, error) {
	switch n := len(text); {
	case n == base64.StdEncoding.EncodedLen(size):
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(raw) != size {
			return nil, fmt.Errorf("not %d bytes in base-64", size)
		}
		return raw, nil
	case sri:
		return nil, fmt.Errorf("want %d characters of base-64, not %d", base64.StdEncoding.EncodedLen(size), n)
	case n == hex.EncodedLen(size):
		raw, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("not %d bytes in base-16", size)
		}
		return raw, nil
	case n == base32Len(size):
		return decodeBase32(text)
	default:
		return nil, fmt.Errorf("%d characters are no digest of %d bytes in base-16, base-32 or base-64", n, size)
	}
}
