package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"terrine/store/fault"
)

func TestExitCode(t *testing.T) {
	interrupted, cancel := context.WithCancelCause(t.Context())
	cancel(Signal{syscall.SIGINT})
	terminated, cancel := context.WithCancelCause(t.Context())
	cancel(Signal{syscall.SIGTERM})
	wrap := func(err error) error {
		return fmt.Errorf("write x: %w", &fs.PathError{Op: "write", Path: "x", Err: err})
	}
	cases := []struct {
		name   string
		ctx    context.Context
		err    error
		broken bool
		want   int
	}{
		{"success", t.Context(), nil, false, 0},
		{"done in spite of a signal", interrupted, nil, false, 0},
		{"no class", t.Context(), errors.New("x"), false, 1},
		{"usage", t.Context(), usagef("x"), false, 2},
		{"class", t.Context(), fmt.Errorf("x: %w", fault.New(fault.Refused, errors.New("y"))), false, 13},
		{"no space", t.Context(), wrap(syscall.ENOSPC), false, 11},
		{"quota", t.Context(), wrap(syscall.EDQUOT), false, 11},
		{"read-only", t.Context(), wrap(syscall.EROFS), false, 11},
		{"I/O error", t.Context(), wrap(syscall.EIO), false, 11},
		{"a class goes before an errno", t.Context(), fault.New(fault.StoreDamaged, wrap(syscall.EIO)), false, 10},
		{"not there", t.Context(), wrap(syscall.ENOENT), false, 1},
		{"closed pipe", t.Context(), wrap(syscall.EPIPE), false, 141},
		{"closed stdout", t.Context(), errors.New("cannot write"), true, 141},
		{"interrupted", interrupted, fmt.Errorf("pack: %w", context.Canceled), false, 130},
		{"terminated", terminated, wrap(syscall.ENOENT), false, 143},
		{"interrupted and closed", interrupted, wrap(syscall.EPIPE), true, 130},
	}
	for _, c := range cases {
		if got := exitCode(c.ctx, c.err, c.broken); got != c.want {
			t.Errorf("%s: exit code %d, want %d", c.name, got, c.want)
		}
	}
}

func TestExitCodeTableIsComplete(t *testing.T) {
	all := []fault.Code{
		fault.Failed, fault.Usage, fault.NotCached, fault.Absent, fault.StoreDamaged, fault.IO, fault.Busy, fault.Refused,
		fault.Network, fault.Auth, fault.Integrity, fault.Build, fault.Timeout, fault.HashMismatch, fault.NotDeterministic,
	}
	var have []int
	for _, row := range exitCodes {
		have = append(have, row.code)
	}
	if !slices.IsSorted(have) || len(slices.Compact(slices.Clone(have))) != len(have) {
		t.Errorf("codes %v are not sorted or not unique", have)
	}
	for _, code := range all {
		if !slices.Contains(have, int(code)) {
			t.Errorf("code %d is missing", code)
		}
	}
}

func TestReport(t *testing.T) {
	cases := []struct {
		name string
		err  error
		want string
	}{
		{"plain", errors.New("read x: no"), "error: read x: no\n"},
		{"hint", fault.Hint(errors.New("no"), "try y"), "error: no\nhint: try y\n"},
		{"control characters", errors.New("read \x1b[31m\n\x00\xff é"), "error: read \\x1b[31m\\n\\x00\\xff é\n"},
		{"no space", syscall.ENOSPC, "error: no space left on device\nhint: free some space, or inodes (df -i), on that filesystem, or write to another one\n"},
		{"I/O error", syscall.EIO, "error: input/output error\nhint: the disk may be failing (see dmesg); terrine store verify finds what is damaged\n"},
		{"permission", os.ErrPermission, "error: permission denied\nhint: check the owner and mode of that path\n"},
	}
	for _, c := range cases {
		out := new(bytes.Buffer)
		a := &app{&Env{Stderr: out, Getenv: func(string) string { return "" }}}
		a.report(nil, exitCode(t.Context(), c.err, false), c.err)
		if got := out.String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestColorOnlyOnTerminals(t *testing.T) {
	cases := []struct {
		terminal bool
		env      map[string]string
		want     bool
	}{
		{true, nil, true},
		{false, nil, false},
		{true, map[string]string{"NO_COLOR": "1"}, false},
		{true, map[string]string{"TERM": "dumb"}, false},
	}
	for _, c := range cases {
		a := &app{&Env{StderrTerminal: c.terminal, Getenv: func(k string) string { return c.env[k] }}}
		if got := strings.Contains(a.paint(red, "x"), "\x1b"); got != c.want {
			t.Errorf("terminal %v, %v: coloured %v, want %v", c.terminal, c.env, got, c.want)
		}
	}
}

// fullDisk fails each write, as /dev/full does.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestMainSeesErrorsOfStdout(t *testing.T) {
	stderr := new(bytes.Buffer)
	env := &Env{
		Args: []string{"--help"}, Stdin: strings.NewReader(""), Stdout: fullDisk{}, Stderr: stderr,
		Getenv: func(string) string { return "" },
	}
	if code := Main(t.Context(), env); code != 11 {
		t.Errorf("exit code %d, want 11; stderr %q", code, stderr)
	}
}

func TestSize(t *testing.T) {
	cases := map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		1_234_567: "1.2 MB", 9_223_372_036_854_775_807: "9223.4 PB",
	}
	for n, want := range cases {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}
