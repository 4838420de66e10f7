package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"testing"
)

// Digest returns the sha256 of all that r gives, in hex.
func Digest(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// FileDigest returns the sha256 of a file, in hex.
func FileDigest(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return Digest(t, f)
}
