package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
)

// TestBinaryCache passes a closure that nix built from cache to cache: nix writes
// one, terrine reads it and writes another, and nix takes that, by copying and
// by realising. Nothing in it is addressed by contents: all of it is trusted by
// signatures.
func TestBinaryCache(t *testing.T) {
	d := newDesk(t)
	top := fixtures.Debian(t, fixtures.Small...)
	closure := engines.Closure(t, top)
	engines.Nix(t, "nix-store", "--generate-binary-cache-key", "e2e-1", d.Path("secret"), d.Path("public"))
	key := string(readFile(t, d.Path("public")))

	theirs := "file://" + d.Path("theirs")
	engines.Nix(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--to", theirs+"?compression=zstd&secret-key="+d.Path("secret"), top)
	r := engines.Try(t, lab.WithoutNix(d.Command("store", "copy", "--from", theirs, top)))
	if r.Code != lab.ExitIntegrity || !strings.Contains(r.Stderr, "no trusted key has signed it, only e2e-1") {
		t.Errorf("without the key: exit code %d: %s", r.Code, r.Stderr)
	}
	copied := strings.Fields(engines.Run(t, lab.WithoutNix(d.Command("store", "copy", "--from", theirs, "--trusted-public-key", key, top))))
	if len(copied) != len(closure) {
		t.Errorf("%d paths copied, the closure has %d", len(copied), len(closure))
	}
	engines.CheckNARs(t, d.Path("data", "terrine"), closure)

	ours := "file://" + d.Path("ours")
	engines.Run(t, lab.WithoutNix(d.Command("store", "copy", "--to", ours, "--sign-key", d.Path("secret"), top)))
	trusted := []string{"--option", "trusted-public-keys", key}
	t.Run("nix copy", func(t *testing.T) {
		root := nixRoot(t)
		engines.Nix(t, "nix", append([]string{"--extra-experimental-features", "nix-command", "copy", "--from", ours, "--to", "local?root=" + root, top}, trusted...)...)
		engines.CheckNARs(t, root, closure)
	})
	t.Run("nix-store --realise", func(t *testing.T) {
		root := nixRoot(t)
		engines.Nix(t, "nix-store", append([]string{"--store", "local?root=" + root, "--realise", top, "--option", "substituters", ours}, trusted...)...)
		engines.CheckNARs(t, root, closure)
	})
}

// nixRoot returns a directory for a store of nix, and has it removed: nix takes
// the right to write from directories.
func nixRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.TempDir(), "nix-root-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if said, err := exec.Command("rm", "-rf", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, said)
		}
	})
	return filepath.Join(dir, "root")
}
