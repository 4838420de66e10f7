package engines

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/need"
)

// Containerd is the containerd that a dockerd has started for itself, with a
// namespace of the tests' own. Its methods may be called from several goroutines.
type Containerd struct{ socket string }

// Containerd returns the containerd of d, which ends with it.
func (d *Docker) Containerd(tb testing.TB) *Containerd {
	tb.Helper()
	need.Programs(tb, "ctr")
	return &Containerd{socket: filepath.Join(d.dir, "exec", "containerd", "containerd.sock")}
}

// Command returns a call of containerd's client.
func (c *Containerd) Command(ctx context.Context, args ...string) *exec.Cmd {
	return command(ctx, nil, "ctr", append([]string{"--address", c.socket, "--namespace", "terrine"}, args...)...)
}

// Import imports an archive, which unpacks its layers.
func (c *Containerd) Import(tb testing.TB, archive string) {
	tb.Helper()
	Run(tb, c.Command(tb.Context(), "images", "import", archive))
}

// Manifest returns the digest of the manifest of an image.
func (c *Containerd) Manifest(tb testing.TB, ref string) string {
	tb.Helper()
	said := Run(tb, c.Command(tb.Context(), "images", "list", "name=="+ref))
	for _, line := range strings.Split(said, "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[0] == ref {
			return f[2]
		}
	}
	tb.Fatalf("containerd has no image %s:\n%s", ref, said)
	return ""
}

// Run runs the command of an image in a container that has that id, and returns
// its standard output.
func (c *Containerd) Run(tb testing.TB, ref, id string) string {
	tb.Helper()
	return Run(tb, c.Command(tb.Context(), "run", "--rm", ref, id))
}
