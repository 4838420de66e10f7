package store

import (
	"bytes"
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
			got, err = FixedOutputPath(DefaultDir, row[3], digest.Digest(row[1]), row[2] == "recursive")
		case "text":
			got, err = TextPath(DefaultDir, row[1], []byte(row[2]), parsePaths(t, row[3]))
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

// A derivation without inputs is, modulo them, its own text without the paths
// of its outputs.
func TestOutputPathsEqualNix(t *testing.T) {
	const out, dev = "/nix/store/a3d95yg9d215c54n0ybr4npmpnj29229-multi", "/nix/store/hq3b99lz71gwfq6x8lqwg14hf929q0d2-multi-dev"
	drv, err := os.ReadFile("testdata/multi.drv")
	if err != nil {
		t.Fatal(err)
	}
	modulo := digest.FromString(strings.NewReplacer(out, "", dev, "").Replace(string(drv)))
	for output, want := range map[string]Path{"out": out, "dev": dev} {
		if !bytes.Contains(drv, []byte(want)) {
			t.Errorf("testdata/multi.drv has no output %s", want)
		}
		if got, err := OutputPath(DefaultDir, output, "multi", modulo); err != nil || got != want {
			t.Errorf("OutputPath(%s) = %q, %v; want %q", output, got, err, want)
		}
	}
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
	p, err = TextPath(DefaultDir, "", nil, nil)
	check("TextPath without a name", p, err)
	p, err = OutputPath(DefaultDir, "", "a", sum)
	check("OutputPath without an output", p, err)
	p, err = OutputPath(DefaultDir, "out", "a", "md5:d41d8cd98f00b204e9800998ecf8427e")
	check("OutputPath of an md5", p, err)
	for _, h := range []digest.Digest{"", "sha256", "sha256:00", "crc32:00000000", digest.Digest(strings.ToUpper(string(sum)))} {
		p, err = FixedOutputPath(DefaultDir, "a", h, false)
		check("FixedOutputPath of "+string(h), p, err)
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
	got, err := FixedOutputPath(DefaultDir, "live.bin", digest.FromBytes(contents), false)
	if want := Path(runNix(t, nil, "nix-store", "--store", t.TempDir(), "--add-fixed", "sha256", file)); err != nil || got != want {
		t.Errorf("FixedOutputPath = %q, %v; nix-store says %q", got, err, want)
	}
}
