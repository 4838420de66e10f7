package engines

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/need"
)

// NixEnv is what the environment of every nix process gets: a nix of one user,
// who is root, without a daemon, sandbox, build users and substituters.
func NixEnv() []string {
	return []string{"NIX_REMOTE=", "NIX_CONFIG=sandbox = false\nbuild-users-group =\nsubstituters =\nmax-jobs = 2\n"}
}

// Nix runs one of nix's programs and returns the words it prints.
func Nix(tb testing.TB, program string, args ...string) []string {
	tb.Helper()
	need.Programs(tb, program)
	need.Root(tb)
	return strings.Fields(Run(tb, command(tb.Context(), NixEnv(), program, args...)))
}

// Closure returns the closure of store paths, as nix has it registered.
func Closure(tb testing.TB, paths ...string) []string {
	tb.Helper()
	return Nix(tb, "nix-store", append([]string{"--query", "--requisites"}, paths...)...)
}

// CheckNARs tests that, in the file system below root, each of the store paths
// has the NAR hash that nix has registered for it. Nix's own program hashes.
func CheckNARs(tb testing.TB, root string, paths []string) {
	tb.Helper()
	if len(paths) == 0 {
		tb.Fatal("no store path to compare")
	}
	inside := make([]string, len(paths))
	for i, p := range paths {
		inside[i] = filepath.Join(root, p)
	}
	want := Nix(tb, "nix-store", append([]string{"--query", "--hash"}, paths...)...)
	got := Nix(tb, "nix-hash", append([]string{"--type", "sha256", "--base32"}, inside...)...)
	if len(got) != len(paths) || len(want) != len(paths) {
		tb.Fatalf("nix hashed %d and knows %d of %d paths", len(got), len(want), len(paths))
	}
	for i, p := range paths {
		if "sha256:"+got[i] != want[i] {
			tb.Errorf("%s in the image has the NAR hash sha256:%s, nix registered %s", p, got[i], want[i])
		}
	}
}

// InNamespace returns cmd changed so that it runs in a mount namespace of its
// own, where nix (a directory with a store and nix's database) stands at /nix.
func InNamespace(cmd *exec.Cmd, nix string) *exec.Cmd {
	const script = `mount --bind "$1" /nix && shift && exec "$@"`
	args := append([]string{"--mount", "/bin/sh", "-euc", script, "sh", nix}, cmd.Args...)
	inner := exec.Command("unshare", args...)
	inner.Env, inner.Dir = cmd.Env, cmd.Dir
	inner.Stdin, inner.Stdout, inner.Stderr = cmd.Stdin, cmd.Stdout, cmd.Stderr
	return inner
}
