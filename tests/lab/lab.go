// Package lab is what the packages of end-to-end tests have in common: the
// terrine of this module, built once, a dockerd, started once, and desks to
// call terrine at. It is for tests; what fails ends the test that asked.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	// The tests run terrine as a process, which go test does not see. This
	// import has it run them again when terrine changes.
	_ "terrine/cli"
	"terrine/tests/engines"
	"terrine/tests/need"
)

// Lab is what the tests of one package share. Run makes it ready; after that,
// tests may use it at the same time.
type Lab struct {
	dir     string
	terrine func() (string, error)
	docker  func() (*engines.Docker, error)
	started bool // whether there is a dockerd to stop
}

// Run runs the tests of a package, ends what they have had started, and returns
// the exit code. TestMain calls it, once.
func (l *Lab) Run(m *testing.M) int {
	code, err := l.run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func (l *Lab) run(m *testing.M) (code int, err error) {
	// Not in TMPDIR, which may be no disk: overlay2 wants one, and so do
	// outputs of half a gigabyte.
	l.dir, err = os.MkdirTemp("/var/tmp", "terrine-tests-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.dir)) }()
	// Other users run terrine too, and everything of a test goes below dir.
	if err := errors.Join(os.Chmod(l.dir, 0o755), os.Setenv("TMPDIR", l.dir)); err != nil {
		return 0, err
	}
	l.terrine = sync.OnceValues(func() (string, error) {
		file := filepath.Join(l.dir, "terrine")
		return file, Build(context.Background(), file)
	})
	l.docker = sync.OnceValues(func() (*engines.Docker, error) {
		l.started = true
		return engines.StartDocker(context.Background(), filepath.Join(l.dir, "docker"))
	})
	defer func() {
		if !l.started {
			return
		}
		if d, started := l.docker(); started == nil {
			err = errors.Join(err, d.Stop())
		}
	}()
	return m.Run(), nil
}

// Build builds the terrine of this module, a static program, into a file, and
// without the path of its source in it.
func Build(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", file, "terrine/cli/terrine")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build terrine: %w\n%s", err, said)
	}
	return nil
}

// EndToEnd marks a test that takes long and runs programs: -short leaves it out.
func EndToEnd(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("an end-to-end test, left out by -short")
	}
}

// Dir is scratch on a disk, which every user may enter. It is removed at the
// end, and holds the temporary directories of all tests.
func (l *Lab) Dir() string { return l.dir }

// Terrine returns the path of terrine, built for the first test that asks.
func (l *Lab) Terrine(t *testing.T) string {
	t.Helper()
	file, err := l.terrine()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Docker returns the dockerd of this run, started for the first test that asks.
// A machine that can have none ends the test, as need.Programs does.
func (l *Lab) Docker(t *testing.T) *engines.Docker {
	t.Helper()
	EndToEnd(t)
	need.Programs(t, "dockerd", "docker", "runc")
	need.Root(t)
	d, err := l.docker()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
