//go:build linux

package crash

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"terrine/tests/need"
)

// maxResident is how much memory a command of the store may have resident: it
// does not grow with the size of anything.
const maxResident = 64 << 20

// TestMemory (F17): with a file of 400 MB, each command stays within its bound.
func TestMemory(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 400<<20); err != nil {
		t.Fatal(err)
	}
	export := filepath.Join(dir, "export")
	added := strings.TrimSpace(l.bounded(t, dir, "store", "add", big))
	l.bounded(t, dir, "store", "verify")
	l.bounded(t, dir, "store", "copy", "--to", "file://"+filepath.Join(dir, "binary"), added)
	if err := os.WriteFile(export, []byte(l.bounded(t, dir, "store", "export", string(l.kept))), 0o644); err != nil {
		t.Fatal(err)
	}
	l.bounded(t, filepath.Join(dir, "other"), "store", "copy", "--from", "file://"+filepath.Join(dir, "binary"), added)
	spec := filepath.Join(dir, "big.json")
	if err := os.WriteFile(spec, fmt.Appendf(nil, `{"name": "big", "config": {"Cmd": [%q]}}`, added), 0o644); err != nil {
		t.Fatal(err)
	}
	l.bounded(t, dir, "build", spec, "-o", filepath.Join(dir, "out", "big.tar.gz"))
}

// TestManyFiles (F44): a directory of 50,000 files is added within a minute, and
// one of a million, in a campaign, within ten; memory is for the names only.
func TestManyFiles(t *testing.T) {
	l := lab(t)
	n, limit := 50_000, time.Minute
	if os.Getenv(campaignVar) != "" {
		n, limit = 1_000_000, 10*time.Minute
	}
	dir := newRun(t, l)
	big := filepath.Join(dir, "many")
	if err := os.Mkdir(big, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(big, fmt.Sprintf("file-%07d", n-i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	l.boundedBy(t, maxResident+n*100, dir, "store", "add", big)
	took := time.Since(began)
	if took > limit {
		t.Errorf("it took %s, want at most %s", took, limit)
	}
	t.Logf("%d files in %s", n, took)
}

// bounded runs a command within maxResident.
func (l *Lab) bounded(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return l.boundedBy(t, maxResident, dir, args...)
}

// boundedBy runs a command, watches its memory, and returns what it prints.
func (l *Lab) boundedBy(t *testing.T, limit int, dir string, args ...string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := l.Command(t.Context(), dir, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	most := 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-tick.C:
			// Not VmHWM: until it executes its program, a process has the memory of
			// the one that made it.
			most = max(most, resident(cmd.Process.Pid, l.Terrine))
		}
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("%q: exit code %d\n%s", args, code, said.Bytes())
	}
	if most > limit {
		t.Errorf("%q had %d MiB resident, want at most %d", args[:2], most>>20, limit>>20)
	}
	t.Logf("%q had %d MiB resident", args[:2], most>>20)
	return out.String()
}

// resident returns the most memory that a process has had resident, in bytes; 0
// if it does not run the program yet, or no more.
func resident(pid int, program string) int {
	proc := "/proc/" + strconv.Itoa(pid)
	if name, err := os.Readlink(proc + "/exe"); err != nil || name != program {
		return 0
	}
	status, err := os.ReadFile(proc + "/status")
	_, line, found := strings.Cut(string(status), "VmHWM:")
	var kib int
	if _, scanErr := fmt.Sscan(line, &kib); err != nil || !found || scanErr != nil {
		return 0
	}
	return kib << 10
}

// TestContainers (F34): processes of several containers, with other host names
// and the same process numbers, use one store at once. What holds a lock is known
// to the kernel, so it must be one kernel; see docs/reliability.md.
func TestContainers(t *testing.T) {
	l := lab(t)
	need.Programs(t, "unshare")
	dir := newRun(t, l)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			script := fmt.Sprintf(`hostname host-%d; for i in 1 2 3; do "$0" store add "$1" --root root-%d && "$0" store gc && "$0" store optimise || exit; done`, i, i)
			inner := l.Command(t.Context(), dir)
			cmd := exec.CommandContext(t.Context(), "unshare", "--uts", "--pid", "--fork", "--mount-proc", "sh", "-euc", script, l.Terrine, l.tree)
			cmd.Dir, cmd.Env = inner.Dir, inner.Env
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("container %d: %v\n%s", i, err, out)
			}
		})
	}
	wg.Wait()
	wholeStore(t, filepath.Join(dir, "store"), l.kept, l.added)
	// What a process of a container uses stays until the container is gone.
	dir = newRun(t, l)
	holder := task(t, dir, "hold", string(l.dead[0]))
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS}
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if said := l.must(t, dir, 12, "store", "delete", string(l.dead[0])); !strings.Contains(said, "is in use by") {
		t.Errorf("it says %q", said)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	l.must(t, dir, 0, "store", "delete", string(l.dead[0]))
}
