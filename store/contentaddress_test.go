package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestContentAddressesOfNix computes the paths of what the real nix has
// addressed by its contents, in every way it has.
func TestContentAddressesOfNix(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() { makeWritable(t, dir) })
	file := filepath.Join(dir, "some-file")
	if err := os.WriteFile(file, []byte("contents\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	expr := filepath.Join(dir, "default.nix")
	const text = `derivation { name = "d"; builder = "/bin/sh"; system = "x86_64-linux"; src = ./some-file; drv = builtins.toFile "e" "f"; }`
	if err := os.WriteFile(expr, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{"NIX_REMOTE=local?root=" + filepath.Join(dir, "root")}
	runNix(t, env, "nix-store", "--add", file)
	for _, algorithm := range []string{"md5", "sha1", "sha256", "sha512"} {
		runNix(t, env, "nix-store", "--add-fixed", algorithm, file)
		runNix(t, env, "nix-store", "--add-fixed", "--recursive", algorithm, file)
	}
	runNix(t, env, "nix-instantiate", expr)
	said := runNix(t, env, "nix", "--extra-experimental-features", "nix-command", "path-info", "--all", "--json")
	var infos []struct {
		Path       Path
		CA         string
		References []Path
	}
	if err := json.Unmarshal([]byte(said), &infos); err != nil {
		t.Fatal(err)
	}
	if len(infos) < 10 {
		t.Fatalf("nix knows %d paths only: %s", len(infos), said)
	}
	for _, info := range infos {
		ca, err := ParseContentAddress(info.CA)
		if err != nil {
			t.Errorf("%s: %v", info.Path, err)
			continue
		}
		if got, err := ca.Path(DefaultDir, info.Path.Name(), info.References); err != nil || got != info.Path {
			t.Errorf("%s with %d references: %s, %v: want %s", info.CA, len(info.References), got, err, info.Path)
		}
	}
}

func TestContentAddressRefused(t *testing.T) {
	const sum = "sha256:0f32n9pwmabyxinyj1izh016wpqgr1dvaw5sh1lgp2wyc3s24k7g"
	for _, s := range []string{"", "fixed:", "fixed:r:", "text:", sum, "fixed:r:" + sum + "x", "text:sha1:" + sum[7:], "text:r:" + sum, "text:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"} {
		if ca, err := ParseContentAddress(s); err == nil {
			t.Errorf("%q: %+v", s, ca)
		}
	}
	flat, err := ParseContentAddress("fixed:" + sum)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := flat.Path(DefaultDir, "x", []Path{"/nix/store/zvqnii8br982b8181m6nx5zdfk24jd6k-two"}); err == nil {
		t.Errorf("a flat output with references: %s", p)
	}
}

func TestStorePathsEqualNix(t *testing.T) {
	for _, row := range goldenRows(t, "paths.txt", 5) {
		want := Path(row[len(row)-1])
		var got Path
		var err error
		switch row[0] {
		case "source":
			got, err = ContentAddress{MethodNAR, digest.Digest("sha256:" + row[1])}.Path(Dir(row[3]), row[2], parsePaths(t, row[4]))
		case "fixed":
			method := map[string]Method{"flat": MethodFlat, "recursive": MethodNAR}[row[2]]
			got, err = ContentAddress{method, digest.Digest(row[1])}.Path(DefaultDir, row[3], nil)
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
	for _, name := range []string{"", "a b"} {
		if p, err := (ContentAddress{MethodText, sum}).Path(DefaultDir, name, nil); err == nil {
			t.Errorf("name %q: %q, want an error", name, p)
		}
	}
	for _, h := range []digest.Digest{"", "sha256", "sha256:00", "crc32:00000000", digest.Digest(strings.ToUpper(string(sum)))} {
		for _, method := range []Method{MethodNAR, MethodFlat, MethodText} {
			if p, err := (ContentAddress{method, h}).Path(DefaultDir, "a", nil); err == nil {
				t.Errorf("hash %q: %q, want an error", h, p)
			}
		}
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
	got, err := ContentAddress{MethodFlat, digest.FromBytes(contents)}.Path(DefaultDir, "live.bin", nil)
	if want := Path(runNix(t, nil, "nix-store", "--store", t.TempDir(), "--add-fixed", "sha256", file)); err != nil || got != want {
		t.Errorf("Path = %q, %v; nix-store says %q", got, err, want)
	}
}
