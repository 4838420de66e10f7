// Package engines runs the programs that terrine's images are made for, as
// real processes: dockerd and podman, skopeo and umoci, and the nix that built
// the closures. It is for tests. Everything it starts keeps its state below a
// directory that the caller names and removes, and touches no engine, store
// or configuration of the machine, but for /nix/store, where nix builds.
//
// A function that takes a testing.TB ends that test when the program fails.
package engines

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Result is what a process left when it ended.
type Result struct {
	Stdout, Stderr string
	Code           int // exit code; -1 when a signal ended it
	State          *os.ProcessState
}

// Try runs cmd to its end and returns what it left, whatever its exit code.
// Its Stdout and Stderr are captured where the caller has set none. A process
// that cannot be started ends the test.
func Try(tb testing.TB, cmd *exec.Cmd) Result {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		tb.Fatalf("start %s: %v", cmd, err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode(), State: cmd.ProcessState}
}

// Run runs cmd and returns its standard output. An exit code other than 0 ends
// the test, with what the process said.
func Run(tb testing.TB, cmd *exec.Cmd) string {
	tb.Helper()
	r := Try(tb, cmd)
	if r.Code != 0 {
		tb.Fatalf("%s: exit code %d\n%s%s", strings.Join(cmd.Args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// command is exec.CommandContext with more variables in the environment.
func command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}
