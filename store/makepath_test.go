package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestStorePathsEqualNix(t *testing.T) {
	for _, row := range goldenRows(t, "paths.txt", 5) {
		want := Path(row[len(row)-1])
		var got Path
		var err error
		switch row[0] {
		case "source":
			got, err = SourcePath(Dir(row[3]), row[2], digest.Digest("sha256:"+row[1]), parsePaths(t, row[4]), row[5] == "self")
		case "fixed":
			got, err = fixedOutputPath(DefaultDir, row[3], digest.Digest(row[1]), row[2] == "recursive")
		case "text":
			got, err = ContentAddress{MethodText, digest.FromString(row[2])}.Path(DefaultDir, row[1], parsePaths(t, row[3]))
		default:
			t.Fatalf("row of unknown kind %q", row[0])
		}
		if err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", strings.Join(row[:len(row)-1], " "), got, err, want)
		}
		if again, err := ParsePath(string(got)); err != nil || again != got {
			t.Errorf("ParsePath(%q) = %q, %v", got, again, err)
		}
	}
}

// The references are given in the reverse of Nix's order and twice, which must
// not matter.
func parsePaths(t *testing.T, fields string) []Path {
	t.Helper()
	var paths []Path
	for _, s := range strings.Fields(fields) {
		p, err := ParsePath(s)
		if err != nil {
			t.Fatal(err)
		}
		paths = append([]Path{p, p}, paths...)
	}
	return paths
}

func TestMakePathRefuses(t *testing.T) {
	sum := digest.FromString("x")
	check := func(what string, p Path, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s = %q, want an error", what, p)
		}
	}
	p, err := SourcePath(DefaultDir, "a b", sum, nil, false)
	check("SourcePath with a blank in its name", p, err)
	p, err = SourcePath(DefaultDir, "a", digest.Digest("sha512:"+strings.Repeat("0", 128)), nil, false)
	check("SourcePath of a sha512", p, err)
	p, err = SourcePath(DefaultDir, "a", "", nil, false)
	check("SourcePath without a hash", p, err)
	p, err = ContentAddress{MethodText, sum}.Path(DefaultDir, "", nil)
	check("a text without a name", p, err)
	for _, h := range []digest.Digest{"", "sha256", "sha256:00", "crc32:00000000", digest.Digest(strings.ToUpper(string(sum)))} {
		p, err = fixedOutputPath(DefaultDir, "a", h, false)
		check("fixedOutputPath of "+string(h), p, err)
	}
}

// TestStorePathOfFileLive asks the installed Nix, so that it holds for the
// version of the day and not for goldens only.
func TestStorePathOfFileLive(t *testing.T) {
	contents := []byte("live\x00" + strings.Repeat("z", 1000))
	file := filepath.Join(t.TempDir(), "live.bin")
	if err := os.WriteFile(file, contents, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := fixedOutputPath(DefaultDir, "live.bin", digest.FromBytes(contents), false)
	if want := Path(runNix(t, nil, "nix-store", "--store", t.TempDir(), "--add-fixed", "sha256", file)); err != nil || got != want {
		t.Errorf("fixedOutputPath = %q, %v; nix-store says %q", got, err, want)
	}
}
