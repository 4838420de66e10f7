package tests

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"terrine/store/nar"
	"terrine/tests/need"
)

// TestVendorHash holds the vendorHash of the Nix package to what buildGoModule
// will find: the NAR hash of what `go mod vendor` makes.
func TestVendorHash(t *testing.T) {
	root := moduleRoot(t)
	text, err := os.ReadFile(filepath.Join(root, "nix", "package.nix"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`vendorHash = "(sha256-[^"]+)";`).FindSubmatch(text)
	if found == nil {
		t.Fatal("nix/package.nix has no vendorHash")
	}
	vendor := filepath.Join(t.TempDir(), "vendor")
	cmd := exec.CommandContext(t.Context(), "go", "mod", "vendor", "-o", vendor)
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		need.Lacking(t, "go mod vendor: "+string(said)) // it may want the network
	}
	sum, _, err := nar.Hash(t.Context(), vendor)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(sum.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	if want := "sha256-" + base64.StdEncoding.EncodeToString(raw); string(found[1]) != want {
		t.Errorf("vendorHash = %q in nix/package.nix, want %q", found[1], want)
	}
}
