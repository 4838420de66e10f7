package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// HostNix wants the machine's own Nix, and that it takes store paths from who runs the
// test. It sets what the environment says of Nix's store.
func HostNix(tb testing.TB) {
	tb.Helper()
	tb.Setenv("NIX_REMOTE", "")
	file := filepath.Join(tb.TempDir(), "needed")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		tb.Fatal(err)
	}
	if out, err := exec.Command(Program(tb, "nix-store"), "--add", file).CombinedOutput(); err != nil {
		Lacking(tb, "nix-store --add: "+strings.TrimSpace(string(out)))
	}
}
