package tests

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"terrine/tests/fixtures"
	"terrine/tests/lab"
)

// interruptedDesk returns a desk with the spec of a large image.
func interruptedDesk(t *testing.T) (*desk, string) {
	t.Helper()
	d := newDesk(t)
	top := fixtures.Debian(t, fixtures.Medium...)
	return d, d.WriteSpec(spec{"name": "interrupted", "config": spec{"Cmd": []string{top}}})
}

// TestSignals tells a build to stop while it writes a file.
func TestSignals(t *testing.T) {
	cases := []struct {
		name   string
		signal syscall.Signal
		code   int
		output string
	}{
		{"SIGINT", syscall.SIGINT, 130, "image.tar.gz"},
		{"SIGTERM", syscall.SIGTERM, 143, "image.tar.gz"},
		{"SIGTERM, uncompressed", syscall.SIGTERM, 143, "image.tar"},
		{"SIGINT, zstd", syscall.SIGINT, 130, "image.tar.zst"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, s := interruptedDesk(t)
			cmd := d.Command("build", s, "-o", d.Path("out", c.output))
			var said bytes.Buffer
			cmd.Stderr = &said
			// It reads its files in some 12,000 calls.
			told := lab.Tell(t, cmd, c.signal, "pread64", 1000)
			checkEnd(t, told.ProcessState, c.code, said.String())
			t.Logf("%d more calls", told.More)
			if told.More > 5000 {
				t.Errorf("it made %d more calls", told.More)
			}
			d.leavesNothing()
			// The same command, left alone, succeeds.
			if c.output == "image.tar" {
				d.Run("build", s, "-o", d.Path("out", c.output), "--quiet")
				d.leavesNothing(c.output)
			}
		})
	}
}

// start starts cmd and returns a channel that is closed when it has ended.
func start(t *testing.T, cmd *exec.Cmd) <-chan struct{} {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	return ended
}

func checkEnd(t *testing.T, state *os.ProcessState, code int, said string) {
	t.Helper()
	if got := state.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d: %s", got, code, said)
	}
	if strings.Contains(said, "goroutine ") {
		t.Errorf("it ends in a panic: %s", said)
	}
}

// TestPipeCloses closes the pipe that a build writes to, at its beginning and
// in its midst.
func TestPipeCloses(t *testing.T) {
	for name, n := range map[string]int64{"at once": 0, "after a byte": 1, "after 100 MB": 100e6} {
		t.Run(name, func(t *testing.T) {
			d, s := interruptedDesk(t)
			cmd := d.Command("build", s, "-o", "-", "--quiet")
			var said bytes.Buffer
			cmd.Stderr = &said
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = w
			ended := start(t, cmd)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, r, n); err != nil {
				t.Error(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			<-ended
			checkEnd(t, cmd.ProcessState, 141, said.String())
			d.leavesNothing()
		})
	}
}

// TestSignalAtFullPipe tells a build to stop that cannot write, because the
// reader of its pipe stands still.
func TestSignalAtFullPipe(t *testing.T) {
	d, s := interruptedDesk(t)
	cmd := d.Command("build", s, "-o", "-", "--quiet")
	var said bytes.Buffer
	cmd.Stderr = &said
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	cmd.Stdout = w
	ended := start(t, cmd)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, 1); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ended
	checkEnd(t, cmd.ProcessState, 130, said.String())
}
