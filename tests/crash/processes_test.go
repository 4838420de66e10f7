//go:build linux

package crash

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"terrine/store"
)

// task returns a process that does a task of Task in the store of dir.
func task(t *testing.T, dir, name, arg string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), taskVar+"="+name, storeVar+"="+filepath.Join(dir, "store"), argVar+"="+arg)
	return cmd
}

// TestMuchGarbage (F21): gc removes what a thousand killed processes have left.
func TestMuchGarbage(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	objects := filepath.Join(dir, "store/nix/store")
	for i := range 1000 {
		name := fmt.Sprintf(".tmp-%d-0123456789abcdef-1", 100_000+i)
		if err := writeTree(filepath.Join(objects, name), map[string]string{"a/b": "c"}); err != nil {
			t.Fatal(err)
		}
	}
	l.must(t, dir, 0, "store", "gc")
	wholeStore(t, filepath.Join(dir, "store"), l.kept)
}

// TestStoppedHolder (F23): who waits for a process that is stopped says for
// which, and gives up when told to; when it goes on, all goes on.
func TestStoppedHolder(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	holder := task(t, dir, "stop", l.tree)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(holder.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("wait for the holder to stop: %v, %v", status, err)
	}
	said := l.must(t, dir, 12, "store", "add", l.tree, "--lock-timeout", "700ms")
	for _, want := range []string{string(l.added), fmt.Sprintf("waiting for %s, held by process %d", l.added, holder.Process.Pid), "after 700ms"} {
		if !strings.Contains(said, want) {
			t.Errorf("it says %q; want %q", said, want)
		}
	}
	l.must(t, dir, 0, "store", "verify") // which needs nothing of it
	waiter := l.Command(t.Context(), dir, "store", "add", l.tree)
	out, err := waiter.StdoutPipe()
	if err == nil {
		err = waiter.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(out)
	if err != nil || strings.TrimSpace(string(text)) != string(l.added) {
		t.Errorf("the waiter prints %q, %v; want %s", text, err, l.added)
	}
	if err := waiter.Wait(); err != nil {
		t.Error(err)
	}
	if err := holder.Wait(); err != nil {
		t.Errorf("the holder: %v", err)
	}
	wholeStore(t, filepath.Join(dir, "store"), l.kept, l.added)
}

// TestPanic (F24): a process that panics takes nobody along.
func TestPanic(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	cmd := task(t, dir, "panic", l.tree)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "a worker panics") {
		t.Errorf("the process that panics: %v, %s", err, out)
	}
	l.must(t, dir, 0, "store", "add", l.tree)
	wholeStore(t, filepath.Join(dir, "store"), l.kept, l.added)
}

// TestKilledHolders (F35): what two thousand killed holders have held is free.
func TestKilledHolders(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	dead := l.dead[0]
	var processes []*exec.Cmd
	for range 2000 / holders {
		cmd := task(t, dir, "hold", string(dead))
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, cmd)
		if text := make([]byte, 5); true {
			if _, err := io.ReadFull(out, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.must(t, dir, 12, "store", "delete", string(dead))
	for _, cmd := range processes {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	if out := l.must(t, dir, 0, "store", "gc"); !strings.Contains(out, string(dead)) {
		t.Errorf("gc removes %q; want %s too", out, dead)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "store/nix/var/terrine/owners")); err != nil || len(left) > 0 {
		t.Errorf("%d owners are left (%v)", len(left), err)
	}
}

// TestLocksRemovedByHand (F29): while somebody removes lock files, everybody
// gets done. Who loses a lock twenty times running gives up; nobody does here.
func TestLocksRemovedByHand(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	stop := make(chan struct{})
	var remover, adders sync.WaitGroup
	removed := 0
	remover.Go(func() {
		for {
			found, _ := filepath.Glob(filepath.Join(dir, "store/nix/var/terrine/locks/*.lock"))
			for _, name := range found {
				if removed < 15 && os.Remove(name) == nil {
					removed++
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 4 {
		adders.Go(func() {
			for range 5 {
				out, err := l.Command(t.Context(), dir, "store", "add", l.tree).CombinedOutput()
				if err == nil {
					out, err = l.Command(t.Context(), dir, "store", "gc").CombinedOutput()
				}
				if err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
	adders.Wait()
	close(stop)
	remover.Wait()
	t.Logf("removed %d lock files", removed)
	wholeStore(t, filepath.Join(dir, "store"), l.kept)
}

// TestSignals (F22): a command that is told to stop while it waits for what to import
// does, and leaves nothing.
func TestSignals(t *testing.T) {
	l := lab(t)
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		dir := newRun(t, l)
		cmd := l.Command(t.Context(), dir, "store", "import", "-")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stream, err := os.ReadFile(l.stream)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(stream[:len(stream)/2]); err != nil { // it wants more
			t.Fatal(err)
		}
		awaitName(t, filepath.Join(dir, "store/nix/store/.tmp-*-2"))
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%v: exit code %d; want %d\n%s", signal, got, code, said.String())
		}
		if left := l.temporary(dir); len(left) > 0 {
			t.Errorf("%v: left: %q", signal, left)
		}
		l.must(t, dir, 0, "store", "import", l.stream)
		wholeStore(t, filepath.Join(dir, "store"), l.kept)
	}
}

// awaitName waits until there is a file that matches.
func awaitName(t *testing.T, pattern string) {
	t.Helper()
	there := poll(t.Context(), func() bool {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		return len(found) > 0
	})
	if !there {
		t.Fatalf("there is no %s", pattern)
	}
}

// TestDeletersAndCollectors (F28): many at once remove each path once.
func TestDeletersAndCollectors(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	var mu sync.Mutex
	times := make(map[store.Path]int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			out, err := l.Command(t.Context(), dir, "store", "gc").Output()
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, p := range pathsIn(l.kept.Dir(), out) {
				times[p]++
			}
		})
	}
	wg.Wait()
	for _, p := range l.dead {
		if times[p] != 1 {
			t.Errorf("%s was removed %d times", p, times[p])
		}
	}
	wholeStore(t, filepath.Join(dir, "store"), l.kept)
}
