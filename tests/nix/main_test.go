// Package nix has the end-to-end tests of the Nix functions in nix/: images that
// the real nix builds, with terrine as the builder, loaded and run by docker.
package nix

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
)

// lab is what the tests of the package share.
type lab struct {
	dir     string // scratch, removed at the end
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
	dir, err := os.MkdirTemp("/var/tmp", "terrine-nix-")
	if err != nil {
		return 0, err
	}
	l := &lab{dir: dir}
	l.terrine = sync.OnceValues(l.buildTerrine)
	l.docker = sync.OnceValues(func() (*engines.Docker, error) {
		l.started = true
		return engines.StartDocker(context.Background(), filepath.Join(dir, "docker"))
	})
	shared = l
	defer func() {
		if l.started {
			if d, derr := l.docker(); derr == nil {
				err = errors.Join(err, d.Stop())
			}
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	return m.Run(), nil
}

// buildTerrine builds the static program that is the builder of derivations.
func (l *lab) buildTerrine() (string, error) {
	file := filepath.Join(l.dir, "terrine")
	cmd := exec.Command("go", "build", "-trimpath", "-o", file, "terrine/cli/terrine")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build terrine: %w\n%s", err, said)
	}
	return file, nil
}

// endToEnd ends a test on a machine that cannot do it.
func endToEnd(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("an end-to-end test, left out by -short")
	}
	engines.Need(t, "nix-build", "nix-instantiate", "nix-store", "busybox")
	engines.NeedRoot(t)
}

func terrine(t *testing.T) string {
	t.Helper()
	file, err := shared.terrine()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func dockerd(t *testing.T) *engines.Docker {
	t.Helper()
	engines.Need(t, "dockerd", "docker", "runc")
	d, err := shared.docker()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
