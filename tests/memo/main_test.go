// Package memo holds the end-to-end tests of the cache: what probe says and may
// open, that no state of the cache shows in any byte, and that what is spliced
// of cached parts is read by everything that reads archives.
package memo

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
	dir     string // scratch on a disk, removed at the end
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
	dir, err := os.MkdirTemp("/var/tmp", "terrine-memo-")
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
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func (l *lab) buildTerrine() (string, error) {
	file := filepath.Join(l.dir, "terrine")
	said, err := exec.Command("go", "build", "-o", file, "terrine/cli/terrine").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build terrine: %w\n%s", err, said)
	}
	return file, nil
}

// dockerd returns the dockerd of this run, started for the first test that
// asks for it.
func dockerd(t *testing.T) *engines.Docker {
	t.Helper()
	engines.Need(t, "dockerd", "docker", "runc")
	engines.NeedRoot(t)
	d, err := shared.docker()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
