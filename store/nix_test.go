package store

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/need"
)

// runNix runs a program of the installed Nix and returns what it prints, without
// the newline. It uses no daemon and no substitutes; env or arguments name a
// store that is the test's own.
func runNix(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	return strings.TrimSuffix(string(outputOfNix(t, nil, env, program, args...)), "\n")
}

// outputOfNix is runNix with standard input, and returns all that is printed.
func outputOfNix(t *testing.T, stdin io.Reader, env []string, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(need.Program(t, program), args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "NIX_REMOTE=", "NIX_CONFIG=sandbox = false\nbuild-users-group =\nsubstituters =\n")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdin = stdin
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// makeWritable makes the directories below dir writable, so that t.TempDir can
// remove a store.
func makeWritable(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
