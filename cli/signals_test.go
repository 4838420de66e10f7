package cli

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"terrine/tests/need"
)

// process starts the program with a store of its own and the arguments given.
func process(t *testing.T, stdin io.Reader, stdout io.Writer, args ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	said := &strings.Builder{}
	cmd := exec.CommandContext(t.Context(), "terrine", args...)
	cmd.Env = append(os.Environ(), storeVar+"="+filepath.Join(t.TempDir(), "store"), "HOME="+t.TempDir())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, said
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// needLinux is for what only Linux does: to open a pipe anew.
func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		need.Lacking(t, "this is not Linux")
	}
}

// TestSignalEndsAStalledRead sends a signal to a program that waits for the
// rest of its standard input.
func TestSignalEndsAStalledRead(t *testing.T) {
	needLinux(t)
	// Who runs this by nohup has the program ignore SIGHUP, unless it is caught here.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	for sig, code := range map[syscall.Signal]int{syscall.SIGHUP: 129, syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		stdin, w := pipe(t)
		cmd, said := process(t, stdin, nil, "inspect", "-")
		stdin.Close()
		// The program reads from the pipe once what is in it is gone.
		fill(t, w)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%v: exit code %d, want %d: %s", sig, got, code, said)
		}
		if want := "error: stopped by " + signalName(sig) + "\n"; said.String() != want {
			t.Errorf("%v: stderr %q, want %q", sig, said, want)
		}
	}
}

// fill writes the beginning of a large archive, more than a pipe or a socket
// holds: when that is done, its reader is reading.
func fill(t *testing.T, w io.Writer) {
	t.Helper()
	archive := tar.NewWriter(w)
	err := archive.WriteHeader(&tar.Header{Name: "x", Size: 1 << 30, Typeflag: tar.TypeReg})
	if err == nil {
		_, err = archive.Write(make([]byte, 4<<20))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// begin writes the beginning of what a command reads.
func begin(t *testing.T, w io.Writer, args []string) {
	t.Helper()
	switch args[len(args)-1] {
	case "--graph", "--closure":
		if _, err := io.WriteString(w, "["+strings.Repeat(" ", 1<<20)); err != nil {
			t.Fatal(err)
		}
	default:
		fill(t, w)
	}
}

// TestSignalEndsAStalledWrite sends a signal to a program whose output nobody
// reads.
func TestSignalEndsAStalledWrite(t *testing.T) {
	needLinux(t)
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, 4<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(dir, "store")
	added, err := exec.CommandContext(t.Context(), "terrine", "store", "add", large, "--store", store).Output()
	if err != nil {
		t.Fatal(err)
	}
	r, stdout := pipe(t)
	cmd, said := process(t, nil, stdout, "store", "export", strings.TrimSpace(string(added)), "--store", store)
	stdout.Close()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 143 {
		t.Errorf("exit code %d, want 143: %s", code, said)
	}
}

// TestSecondSignalKills sends signals to a program that reads from a socket,
// where the first cannot reach it.
func TestSecondSignalKills(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	stdin, w := os.NewFile(uintptr(pair[0]), "stdin"), os.NewFile(uintptr(pair[1]), "writer")
	defer w.Close()
	cmd, said := process(t, stdin, nil, "inspect", "-")
	stdin.Close()
	fill(t, w)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ended:
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != syscall.SIGTERM || n < 2 {
				t.Errorf("it ended by %v after %d signals, want SIGTERM after two: %s", cmd.ProcessState, n, said)
			}
			return
		case <-tick.C:
			// It may have ended since the tick.
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
}

// TestSignalEndsTheWaitForAFIFO sends a signal to programs that wait for
// somebody to write to a FIFO, and for the rest of what somebody writes.
func TestSignalEndsTheWaitForAFIFO(t *testing.T) {
	needLinux(t)
	spec := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(spec, []byte(`{"name": "x"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"inspect"}, {"store", "add", "--unpack"}, {"plan", "--graph"}, {"plan", spec, "--compare"}, {"plan", spec, "--base"},
		{"plan", spec, "--plan"}, {"plan", spec, "--rates"}, {"plan", spec, "--closure"},
	} {
		for _, writes := range []bool{false, true} {
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd, said := process(t, nil, nil, append(args, fifo)...)
			if writes {
				f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the reader
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				begin(t, f, args)
			} else {
				awaitOpen(t, cmd.Process.Pid, fifo)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 143 {
				t.Errorf("%v, with a writer %v: exit code %d, want 143: %s", args, writes, code, said)
			}
		}
	}
}

// awaitOpen returns when a process has opened a file.
func awaitOpen(t *testing.T, pid int, name string) {
	t.Helper()
	for ; ; runtime.Gosched() {
		links, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
		if len(links) == 0 {
			t.Fatalf("process %d has ended and not opened %s", pid, name)
		}
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil && to == name {
				return
			}
		}
	}
}
