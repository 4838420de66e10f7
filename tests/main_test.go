// Package tests holds the end-to-end tests: the terrine that this module
// builds, run as a process on closures that the real nix built, and its images
// given to the programs that images are for.
package tests

import (
	"context"
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
)

// lab is what the tests of the package share.
type lab struct {
	dir     string // scratch, readable by every user, removed at the end
	terrine func() (string, error)
	docker  func() (*engines.Docker, error)
	started bool // whether there is a dockerd to stop
}

// shared is set by TestMain before any test runs, and never again.
var shared *lab

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	// Not in TMPDIR, which may be no disk: overlay2 wants one, and so do
	// outputs of half a gigabyte.
	dir, err := os.MkdirTemp("/var/tmp", "terrine-e2e-")
	if err != nil {
		return 0, err
	}
	l := &lab{dir: dir}
	l.terrine = sync.OnceValues(l.buildTerrine)
	l.docker = sync.OnceValues(l.startDocker)
	shared = l
	defer func() {
		if l.started {
			if d, derr := l.docker(); derr == nil {
				err = firstError(err, d.Stop())
			}
		}
		err = firstError(err, os.RemoveAll(dir))
	}()
	// Other users run terrine too, and everything of a test goes below dir.
	if err := firstError(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir)); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) buildTerrine() (string, error) {
	file := filepath.Join(l.dir, "terrine")
	said, err := exec.Command("go", "build", "-o", file, "terrine/cli/terrine").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build terrine: %w\n%s", err, said)
	}
	return file, nil
}

func (l *lab) startDocker() (*engines.Docker, error) {
	l.started = true
	return engines.StartDocker(context.Background(), filepath.Join(l.dir, "docker"))
}

// dockerd returns the dockerd of this run, started for the first test that
// asks for it.
func dockerd(t *testing.T) *engines.Docker {
	t.Helper()
	endToEnd(t)
	engines.Need(t, "dockerd", "docker", "runc")
	engines.NeedRoot(t)
	d, err := shared.docker()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// endToEnd marks a test that takes long, and runs programs.
func endToEnd(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("an end-to-end test, left out by -short")
	}
}
