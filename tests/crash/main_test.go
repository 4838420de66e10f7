//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	// The tests run terrine as a process, which go test does not see. This
	// import has it run them again when terrine changes.
	_ "terrine/cli"
	"terrine/tests/need"
)

// shared is the lab of all tests, set by TestMain and made on first use.
var shared func() (*Lab, error)

func TestMain(m *testing.M) {
	if os.Getenv(taskVar) != "" {
		if err := Task(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	run := runAll
	if os.Getenv(insideVar) == "" && os.Geteuid() == 0 {
		run = inside
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// insideVar says that the process has a mount namespace of its own.
const insideVar = "TERRINE_CRASH_INSIDE"

// inside runs the tests again in a mount namespace of their own. In a shared
// one, whoever makes a namespace takes our disks along, so that they stay
// mounted when we think that the power is off.
func inside(*testing.M) (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

func runAll(m *testing.M) (code int, err error) {
	// A kill loses nothing that was written, so memory will do, and is faster. The
	// tests need 1 GiB of it, and containers may have 64 MiB.
	parent := ""
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err == nil && st.Bavail*uint64(st.Bsize) > 2<<30 {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "terrine-crash-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove(dir)) }()
	shared = sync.OnceValues(func() (*Lab, error) { return NewLab(context.Background(), dir) })
	return m.Run(), nil
}

// lab returns the lab, unless the test is left out.
func lab(t *testing.T, tools ...string) *Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short")
	}
	need.Root(t)
	need.Programs(t, tools...)
	l, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return l
}
