package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
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
