// Package need ends tests for want of something of the machine: as a failure
// where CI=true, since there nothing may be left out, and else as skipped.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Program wants a program on PATH and returns where it is.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		Lacking(tb, name+" is not on PATH")
	}
	return file
}

// Programs wants all of the programs on PATH.
func Programs(tb testing.TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		Program(tb, name)
	}
}

// Root wants the rights of root.
func Root(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		Lacking(tb, "not root")
	}
}

// Lacking ends the test. what says what the machine lacks.
func Lacking(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("cannot test: %s", what)
	}
	tb.Skipf("cannot test: %s", what)
}
