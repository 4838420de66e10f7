package engines

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/need"
)

// Podman is podman with a storage of its own. Its methods may be called from
// several goroutines.
type Podman struct{ dir string }

// NewPodman returns a podman that keeps everything below a directory of its
// own, which goes when the test ends.
func NewPodman(tb testing.TB) *Podman {
	tb.Helper()
	need.Programs(tb, "podman", "runc")
	need.Root(tb)
	// Not the test's own directory, whose name has that of the test in it:
	// podman refuses a runroot of more than 50 characters.
	dir, err := os.MkdirTemp("/var/tmp", "terrine-podman-")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Podman{dir: dir}
	tb.Cleanup(func() {
		// The test's context is done by now.
		said, err := p.Command(context.Background(), "system", "reset", "--force").CombinedOutput()
		if err != nil {
			tb.Errorf("podman system reset: %v\n%s", err, said)
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// Command returns a call of podman.
func (p *Podman) Command(ctx context.Context, args ...string) *exec.Cmd {
	// cgroupfs and runc, since neither systemd nor the unified cgroups that
	// crun wants are to be had in every container or CI machine.
	global := []string{"--root", filepath.Join(p.dir, "root"), "--runroot", filepath.Join(p.dir, "run"),
		"--tmpdir", filepath.Join(p.dir, "tmp"), "--runtime", "runc", "--cgroup-manager", "cgroupfs"}
	return command(ctx, nil, "podman", append(global, args...)...)
}

// Load loads an archive and returns the references that podman says it has
// loaded.
func (p *Podman) Load(tb testing.TB, archive string) []string {
	tb.Helper()
	said := Run(tb, p.Command(tb.Context(), "load", "--quiet", "--input", archive))
	return loadedReferences(tb, "podman", said)
}

// Run runs an image in a container without a network, removed when it ends,
// and returns its standard output. Args are as those of Docker.RunCommand.
func (p *Podman) Run(tb testing.TB, args ...string) string {
	tb.Helper()
	run := []string{"run", "--rm", "--network=none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"}
	return Run(tb, p.Command(tb.Context(), append(run, args...)...))
}

// Inspect returns the identifier of an image, and the digests of its layers.
func (p *Podman) Inspect(tb testing.TB, ref string) (id string, layers []string) {
	tb.Helper()
	var found []Inspected
	said := Run(tb, p.Command(tb.Context(), "image", "inspect", ref))
	if err := json.Unmarshal([]byte(said), &found); err != nil || len(found) != 1 {
		tb.Fatalf("podman image inspect %s: %v in %s", ref, err, said)
	}
	return found[0].ID, found[0].RootFS.Layers
}

// Export unpacks the file system of an image into dir, which it makes.
func (p *Podman) Export(tb testing.TB, ref, dir string) {
	tb.Helper()
	id := strings.TrimSpace(Run(tb, p.Command(tb.Context(), "create", "--network=none",
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", ref, "none")))
	defer Run(tb, p.Command(tb.Context(), "rm", id))
	unpack(tb, p.Command(tb.Context(), "export", id), dir)
}
