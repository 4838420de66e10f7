package commands

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// killedVar says that the test is the process that is to be killed.
const killedVar = "TERRINE_TEST_KILLED"

// TestKilledBuilder (F2) kills a process that has scripts running: they must not
// live on. (What a script has put into the background is for the sandbox that
// terrine runs in to end.)
func TestKilledBuilder(t *testing.T) {
	if os.Getenv(killedVar) != "" {
		b := newBench(t)
		fifo := filepath.Join(b.o.Scratch, "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		b.o.Output = os.Stdout
		script := Script{Name: "script", Text: "echo pid $$; read x <" + fifo, Root: true}
		t.Fatalf("the script has ended: %v", Run(t.Context(), []Script{script}, b.o, &b.owners))
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestKilledBuilder$")
	cmd.Env = append(os.Environ(), killedVar+"=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	lines := bufio.NewScanner(out)
	for pid == 0 && lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "pid %d", &pid); err != nil {
			t.Log(lines.Text())
		}
	}
	if err := syscall.Kill(pid, 0); pid == 0 || err != nil {
		t.Fatalf("the script %d does not run: %v", pid, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; <-tick.C {
		if gone(pid) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the script %d is still running", pid)
		}
	}
}

// gone reports whether a process has ended. Nobody may have waited for it yet.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	var state string
	_, err = fmt.Sscanf(string(stat), "%d (sh) %s", new(int), &state)
	return err != nil || state == "Z"
}

// TestAnswerToTheDead: of a process that has died meanwhile nothing stays open, and
// nothing is noted.
func TestAnswerToTheDead(t *testing.T) {
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	n := notification{pid: uint32(os.Getpid())}
	n.data.nr = unix.SYS_FCHOWN
	n.data.args = [6]uint64{uint64(f.Fd()), 1, 1}
	var owners Owners
	before := open()
	_, err = n.answer(func() bool { return false }, &owners)
	if after := open(); after > before {
		t.Errorf("%d descriptors instead of %d", after, before)
	}
	if len(calls()) > 0 && !errors.Is(err, unix.ESRCH) || len(owners.byFile) > 0 {
		t.Errorf("%v, and noted %v", err, owners.byFile)
	}
}
