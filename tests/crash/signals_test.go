//go:build linux

package crash

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	testlab "terrine/tests/lab"
)

// stops are the signals that tell a command to stop, and the codes of their exits.
var stops = map[syscall.Signal]int{syscall.SIGHUP: 129, syscall.SIGINT: 130, syscall.SIGTERM: 143}

// signalPoints are where commands are told to stop: at the beginning, when they
// write, and when they remove. The numbers are parts of how often they come there.
var signalPoints = []struct {
	call string
	part float64
}{{"openat", 0.5}, {"flock", 0.5}, {"mkdirat", 0.5}, {"write", 0.9}, {"pwrite64", 0.1}, {"renameat", 1}, {"fsync", 0.5}, {"syncfs", 1}, {"unlinkat", 0.5}}

// TestSignalsAtPoints (F22) tells every command to stop while it makes a system
// call. It ends with the code of the signal, or as if it had not been told: there is
// nothing between, and nothing left.
func TestSignalsAtPoints(t *testing.T) {
	l := lab(t, "strace")
	type job struct {
		sc     scenario
		point  Point
		signal syscall.Signal
		code   int
	}
	var jobs []job
	for _, sc := range l.scenarios() {
		most, err := l.trace(t.Context(), sc, Syscalls)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range signalPoints {
			if n := int(at.part * float64(most[at.call])); n > 0 {
				signal := []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM}[len(jobs)%3]
				jobs = append(jobs, job{sc, Point{sc.name, at.call, n}, signal, stops[signal]})
			}
		}
	}
	var mu sync.Mutex
	stopped := make(map[string]int)
	todo := make(chan job)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for j := range todo {
				code, err := l.signal(t, j.sc, j.point, j.signal)
				if err == nil && code > 0 && code != j.code {
					err = fmt.Errorf("exit code %d", code)
				}
				if err != nil {
					t.Errorf("%v at %s: %v", j.signal, j.point, err)
				}
				mu.Lock()
				if code == j.code {
					stopped[j.sc.name]++
				}
				mu.Unlock()
			}
		})
	}
	for _, j := range jobs {
		todo <- j
	}
	close(todo)
	wg.Wait()
	t.Logf("%d signals; commands that stopped: %v", len(jobs), stopped)
	for _, name := range []string{"add", "import", "gc", "build", "copy"} {
		if stopped[name] == 0 {
			t.Errorf("no signal has stopped %s", name)
		}
	}
}

// signal runs a command that is told to stop at a point.
func (l *Lab) signal(t *testing.T, sc scenario, p Point, signal syscall.Signal) (code int, err error) {
	dir, err := l.fresh()
	if err != nil {
		return 0, err
	}
	defer remove(dir)
	inject := fmt.Sprintf("inject=%s:signal=%d:when=%d", p.Syscall, signal, p.N)
	cmd := under(l.Command(t.Context(), dir, sc.args(l, dir)...), "-o", "/dev/null", "-e", "trace="+p.Syscall, "-e", inject)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	_ = cmd.Run()
	if cmd.ProcessState == nil {
		return 0, cmd.Err
	}
	code = cmd.ProcessState.ExitCode()
	if code > 0 && !strings.Contains(said.String(), "error: stopped by SIG") {
		return code, fmt.Errorf("it says %q", said.String())
	}
	// Two threads may have come to the point, and the second signal kills.
	killed := killedBy(cmd.ProcessState, signal) && code < 0
	if left := l.temporary(dir); len(left) > 0 && !killed {
		return code, fmt.Errorf("left: %q", left)
	}
	if sc.name == "copy" {
		if left, _ := filepath.Glob(filepath.Join(dir, "binary/nar/.*")); len(left) > 0 && !killed {
			return code, fmt.Errorf("left: %q", left)
		}
	}
	acknowledged := []byte(nil)
	if sc.acks {
		acknowledged = out.Bytes()
	}
	if wrong := l.aftermath(t.Context(), sc, dir, acknowledged); len(wrong) > 0 {
		return code, fmt.Errorf("exit code %d: %s", code, strings.Join(wrong, "; "))
	}
	return code, nil
}

// TestSignalsInLongWork (F22) tells commands to stop that have much to do: they make the
// call that is counted for each of 5,000 files.
func TestSignalsInLongWork(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	big := numbered(t, filepath.Join(t.TempDir(), "big"), 5_000, 10)
	add := []string{"store", "add", big, "--root", "big"}
	l.stop(t, dir, "openat", soon, add...)
	if left := l.temporary(dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	added := strings.TrimSpace(l.must(t, dir, 0, add...))
	l.stop(t, dir, "openat", soon, "store", "copy", "--to", "file://"+filepath.Join(dir, "cache"), added)
	if left, _ := filepath.Glob(filepath.Join(dir, "cache/nar/*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	l.must(t, dir, 0, "store", "roots", "rm", "big")
	// What it was about to remove it does remove, for a second: see store.TestRemoveTreeUntil.
	l.stop(t, dir, "unlinkat", math.MaxInt, "store", "gc")
	l.must(t, dir, 0, "store", "gc")
	if left := l.temporary(dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	wholeStore(t, filepath.Join(dir, "store"), l.kept)
}

// soon is how many calls a command may make after it was told to stop. It makes some ten,
// in milliseconds, and ten thousands in the two seconds that it may take.
const soon = 3000

// stop tells a command to stop in the midst of its work, after which it makes no more
// than most calls of a kind.
func (l *Lab) stop(t *testing.T, dir, call string, most int, args ...string) {
	t.Helper()
	cmd := l.Command(t.Context(), dir, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	told := testlab.Tell(t, cmd, syscall.SIGTERM, call, 500)
	if code := told.ExitCode(); code != 143 || told.More > most {
		t.Errorf("%q: exit code %d after %d more calls; want 143 after %d at most\n%s", args, code, told.More, most, said.Bytes())
	}
	t.Logf("%q: %d more calls", args[:2], told.More)
}
