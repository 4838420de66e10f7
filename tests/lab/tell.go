package lab

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"terrine/tests/need"
)

// Told is how a command has ended that was told to stop.
type Told struct {
	*os.ProcessState
	// More is how many calls it has made after the signal had reached it.
	More int
}

// Tell sends a signal to a command in the midst of its work: when it has made n calls of
// a kind of system call. It needs no clock. Under strace the command goes on only as its
// calls are read, and so it is at work still if that kind is made some thousand
// times more; and how soon it stops is told by how many there are.
func Tell(t *testing.T, cmd *exec.Cmd, signal syscall.Signal, call string, n int) Told {
	t.Helper()
	strace := need.Program(t, "strace")
	calls, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer calls.Close()
	name := unix.SignalName(signal)
	args := []string{"-f", "--seccomp-bpf", "-qq", "-o", "/proc/self/fd/3", "-e", "trace=execve," + call, "-e", "signal=" + name, "--", cmd.Path}
	traced := exec.CommandContext(t.Context(), strace, append(args, cmd.Args[1:]...)...)
	traced.Dir, traced.Env, traced.Stdout, traced.Stderr = cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr
	traced.ExtraFiles = []*os.File{w}
	err = traced.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	made, more, reached := 0, 0, false
	var process int // as the first line has it, in which it begins to run the command
	for lines := bufio.NewScanner(calls); lines.Scan(); {
		pid, what, _ := strings.Cut(lines.Text(), " ")
		if process == 0 {
			if process, err = strconv.Atoi(pid); err != nil {
				t.Fatalf("strace says %q", lines.Text())
			}
		}
		switch what = strings.TrimSpace(what); {
		case strings.HasPrefix(what, "--- "+name+" "):
			reached = true
		case !strings.HasPrefix(what, call+"("):
		case reached:
			more++
		default:
			if made++; made != n {
				continue
			}
			if err := syscall.Kill(process, signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = traced.Wait()
	if !reached {
		t.Fatalf("the signal has not reached %q: it has made %d calls in all", cmd.Args, made)
	}
	return Told{traced.ProcessState, more}
}
