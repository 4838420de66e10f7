package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"terrine": func() {
		ctx, stop := WithSignals(context.Background())
		code := Main(ctx, OSEnv(ctx))
		stop()
		os.Exit(code)
	}})
}

// TestScript runs testdata/script/*.txtar: the program as users call it, each
// script with a store and a cache of its own and no Nix in sight.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TERRINE_STORE", filepath.Join(env.WorkDir, ".store"))
			env.Setenv("TERRINE_CACHE", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("NIX_REMOTE", filepath.Join(env.WorkDir, ".nix")) // a Nix that has nothing, if there is one
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
		},
	})
}

// exits runs a program and wants the exit code given: exits CODE PROGRAM ARG….
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = exitStatus(err)
	}
	if got != args[0] {
		ts.Fatalf("%v: exit code %s, want %s", args[1:], got, args[0])
	}
}

func exitStatus(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return strconv.Itoa(exit.ExitCode())
	}
	return err.Error()
}
