package engines

import (
	"os/exec"
	"path/filepath"
	"testing"

	"terrine/tests/need"
)

// Copy copies an image by skopeo. From and to are skopeo's names of places,
// such as docker-archive:FILE or oci:DIR:TAG.
func Copy(tb testing.TB, from, to string) {
	tb.Helper()
	need.Programs(tb, "skopeo")
	Run(tb, exec.CommandContext(tb.Context(), "skopeo", "--insecure-policy", "copy", "--quiet", from, to))
}

// CopyExact is Copy, and fails unless the copy keeps every digest.
func CopyExact(tb testing.TB, from, to string) {
	tb.Helper()
	need.Programs(tb, "skopeo")
	Run(tb, exec.CommandContext(tb.Context(), "skopeo", "--insecure-policy", "copy", "--quiet", "--preserve-digests", from, to))
}

// Unpack unpacks an image of an OCI layout directory by umoci, and returns the
// directory that holds its root file system.
func Unpack(tb testing.TB, layout, tag string) string {
	tb.Helper()
	need.Programs(tb, "umoci")
	need.Root(tb)
	bundle := filepath.Join(tb.TempDir(), "bundle")
	Run(tb, exec.CommandContext(tb.Context(), "umoci", "unpack", "--image", layout+":"+tag, bundle))
	return filepath.Join(bundle, "rootfs")
}
