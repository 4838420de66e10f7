// Package cli is terrine's command line: flags in, progress and results out.
// Every command stands in a file of its own, or in one with those that are most
// like it, and holds no logic but that of the command line; what it does is done
// by the packages below.
//
// Results go to stdout and nothing else does: progress, warnings and errors
// go to stderr. An error is one "error:" line and, where there is something
// to do about it, one "hint:" line. The exit codes stand in exit.go.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Env is all that a command sees of the process it runs in. Stdin, Stdout,
// Stderr, Getenv and Now must be set; the rest may be left zero.
type Env struct {
	Args   []string // without the name of the program
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time

	StdoutTerminal bool       // whether Stdout is a terminal
	StderrTerminal bool       // whether Stderr is one
	Columns        func() int // width of the terminal at Stderr; 0 if unknown
}

// OSEnv returns the Env of the running process. Reads from its Stdin and, where
// the system allows, writes to its Stdout end soon after ctx does, although
// the other end of the pipe stands still.
func OSEnv(ctx context.Context) *Env {
	return &Env{
		Args:           os.Args[1:],
		Stdin:          interruptibleReader(ctx, os.Stdin),
		Stdout:         interruptibleWriter(ctx, os.Stdout),
		Stderr:         os.Stderr,
		Getenv:         os.Getenv,
		Now:            time.Now,
		StdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		StderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Columns: func() int {
			width, _, err := term.GetSize(int(os.Stderr.Fd()))
			if err != nil {
				return 0
			}
			return width
		},
	}
}

// Main runs the command that env.Args name and returns the exit code. When
// ctx ends with a Signal as its cause, the code is that of the signal.
func Main(ctx context.Context, env *Env) int {
	run := *env
	out := &results{w: env.Stdout}
	run.Stdout = out
	a := &app{Env: &run}
	root := a.command()
	root.SetArgs(run.Args)
	root.SetIn(run.Stdin)
	root.SetOut(out)
	root.SetErr(run.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = out.err
	}
	code := exitCode(ctx, err, out.broken())
	a.report(cmd, code, err)
	return code
}

// results is stdout. It keeps the first error, so that a command which prints
// a table need not look at every write, and a full disk is not taken for
// success.
type results struct {
	w   io.Writer
	err error
}

func (r *results) Write(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.w.Write(p)
	if err != nil {
		r.err = err
	}
	return n, err
}

// broken reports whether the reader of stdout has gone away.
func (r *results) broken() bool { return errors.Is(r.err, syscall.EPIPE) }
