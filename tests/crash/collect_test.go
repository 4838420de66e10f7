//go:build linux

package crash

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/store"
)

// TestCollectorsSpareBuilds (F27) stops a build while it writes to a pipe, and
// collects and deletes meanwhile: what the build reads must stay.
func TestCollectorsSpareBuilds(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	big := filepath.Join(dir, "big")
	if err := writeTree(big, map[string]string{"f": strings.Repeat("0123456789abcde\n", 1<<16), "g": strings.Repeat("x", 1<<20)}); err != nil {
		t.Fatal(err)
	}
	added := strings.TrimSpace(l.must(t, dir, 0, "store", "add", big))
	spec := filepath.Join(dir, "big.json")
	if err := os.WriteFile(spec, fmt.Appendf(nil, `{"name": "big", "config": {"Cmd": ["%s/f"]}}`, added), 0o644); err != nil {
		t.Fatal(err)
	}
	l.must(t, dir, 0, "build", spec, "-o", filepath.Join(dir, "want.tar"), "--no-cache")
	want, err := os.ReadFile(filepath.Join(dir, "want.tar"))
	if err != nil {
		t.Fatal(err)
	}
	build := l.Command(t.Context(), dir, "build", spec, "-o", "-", "--no-cache")
	out, err := build.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := build.Start(); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 512)
	if _, err := io.ReadFull(out, head); err != nil { // now it stands before a full pipe
		t.Fatal(err)
	}
	if removed := l.must(t, dir, 0, "store", "gc"); strings.Contains(removed, added) || !strings.Contains(removed, "dead-1") {
		t.Errorf("while it is in use, gc removes %q", removed)
	}
	l.must(t, dir, 12, "store", "delete", added)
	if roots := l.must(t, dir, 0, "store", "roots", "ls"); !strings.Contains(roots, fmt.Sprintf("process %d", build.Process.Pid)) {
		t.Errorf("roots ls prints %q; want process %d", roots, build.Process.Pid)
	}
	l.must(t, dir, 0, "store", "optimise")
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := build.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := append(head, rest...); !bytes.Equal(got, want) {
		t.Errorf("the image has %d bytes that are not the %d it should be", len(got), len(want))
	}
	if removed := l.must(t, dir, 0, "store", "gc"); !strings.Contains(removed, added) {
		t.Errorf("after the build, gc removes %q; want %s too", removed, added)
	}
}

// newRun returns a directory with a copy of the base store, removed at the end.
func newRun(t *testing.T, l *Lab) string {
	t.Helper()
	dir, err := l.fresh()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// must runs terrine, wants an exit code, and returns what it has printed, with
// the errors if the code is not 0.
func (l *Lab) must(t *testing.T, dir string, code int, args ...string) string {
	t.Helper()
	cmd := l.Command(t.Context(), dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("terrine %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout.String(), stderr.String())
	}
	if code != 0 {
		return stderr.String()
	}
	return stdout.String()
}

// wholeStore checks a store, what must be in it, and what gc leaves of it.
func wholeStore(t *testing.T, root string, paths ...store.Path) {
	t.Helper()
	var p problems
	p.check(t.Context(), root, paths)
	p.clean(t.Context(), root)
	for _, problem := range p {
		t.Error(problem)
	}
}
