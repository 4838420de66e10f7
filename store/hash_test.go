package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// goldenRows returns the tab-separated rows of a file that goldens.sh made
// with the real Nix.
func goldenRows(t testing.TB, name string, columns int) [][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(data)) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(row) < columns {
			t.Fatalf("%s: row %q has %d columns, want %d", name, line, len(row), columns)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return rows
}

func TestHashSpellingsEqualNix(t *testing.T) {
	for _, row := range goldenRows(t, "hashes.txt", 4) {
		algorithm, base16, base32, sri := row[0], row[1], row[2], row[3]
		want := digest.Digest(algorithm + ":" + base16)
		_, base64, _ := strings.Cut(sri, "-")
		for _, s := range []string{
			string(want), algorithm + ":" + strings.ToUpper(base16), algorithm + ":" + base32, algorithm + ":" + base64, sri,
		} {
			if got, err := ParseHash(s); err != nil || got != want {
				t.Errorf("ParseHash(%q) = %q, %v; want %q", s, got, err, want)
			}
		}
		if got := FormatHash(want); got != algorithm+":"+base32 {
			t.Errorf("FormatHash(%q) = %q, want %q", want, got, algorithm+":"+base32)
		}
		raw, err := decodeBase32(base32)
		if err != nil || hex.EncodeToString(raw) != base16 {
			t.Errorf("decodeBase32(%q) = %x, %v; want %s", base32, raw, err, base16)
		}
	}
}

func TestParseHashRefuses(t *testing.T) {
	zeros := strings.Repeat("0", 52)
	for s, want := range map[string]string{
		"":                                  "want an algorithm",
		"sha256":                            "want an algorithm",
		zeros:                               "want an algorithm",
		"sha384:" + strings.Repeat("0", 96): "algorithm",
		"sha256:":                           "no digest of 32 bytes",
		"sha256:" + zeros + "0":             "no digest of 32 bytes",
		"sha256-" + zeros:                   "want 44 characters",
		"sha256:e" + zeros[1:]:              "not base-32",
		"sha256:2" + zeros[1:]:              "not zero",
		"sha256:" + strings.Repeat("g", 64): "base-16",
		"sha256-" + strings.Repeat("A", 44): "base-64",
		"sha256-" + strings.Repeat("A", 42) + "B=": "base-64",
	} {
		if d, err := ParseHash(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseHash(%q) = %q, %v; want an error with %q", s, d, err, want)
		}
	}
}

func TestFormatHashLeavesWhatIsNoDigest(t *testing.T) {
	for _, d := range []digest.Digest{"", "sha256", "sha256:", "sha256:xyz"} {
		if got := FormatHash(d); got != string(d) {
			t.Errorf("FormatHash(%q) = %q", d, got)
		}
	}
}

func TestDecodeBase32IsStrict(t *testing.T) {
	for s, want := range map[string]string{
		"0":   "no value has 1 characters",
		"000": "no value has 3 characters",
		"g0":  "not zero", // 16 << 5 does not fit a byte
		"0E":  "not base-32",
		"0\n": "not base-32",
	} {
		if b, err := decodeBase32(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("decodeBase32(%q) = %x, %v; want an error with %q", s, b, err, want)
		}
	}
}

// nix-hash --type sha256 --flat --truncate --base32 /dev/null
func TestCompressHash(t *testing.T) {
	sum := sha256.Sum256(nil)
	if got, want := EncodeBase32(compressHash(sum[:], 20)), "wi0sw9r4p5prk7acm7i0z1b97h75faw7"; got != want {
		t.Errorf("compressHash of the empty SHA-256 = %s, want %s", got, want)
	}
}

func FuzzBase32(f *testing.F) {
	f.Add([]byte(nil), "")
	f.Add([]byte{0xff}, "7z")
	f.Add(bytes.Repeat([]byte{0xa5}, 20), "wi0sw9r4p5prk7acm7i0z1b97h75faw7")
	f.Fuzz(func(t *testing.T, b []byte, s string) {
		if got, err := decodeBase32(EncodeBase32(b)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%x encodes to %q, which decodes to %x, %v", b, EncodeBase32(b), got, err)
		}
		if raw, err := decodeBase32(s); err == nil && EncodeBase32(raw) != s {
			t.Errorf("%q decodes to %x, which encodes to %q", s, raw, EncodeBase32(raw))
		}
	})
}

func FuzzParseHash(f *testing.F) {
	for _, row := range goldenRows(f, "hashes.txt", 4) {
		f.Add(row[0] + ":" + row[1])
		f.Add(row[0] + ":" + row[2])
		f.Add(row[3])
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseHash(s)
		if err != nil {
			return
		}
		if again, err := ParseHash(FormatHash(d)); err != nil || again != d {
			t.Errorf("%q parses to %q, which is written %q and parses to %q, %v", s, d, FormatHash(d), again, err)
		}
	})
}
