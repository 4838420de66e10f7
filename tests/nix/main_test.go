// Package nix has the end-to-end tests of the Nix functions in nix/: images that
// the real nix builds, with terrine as the builder, loaded and run by docker.
package nix

import (
	"os"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/lab"
)

// shared is made ready by TestMain.
var shared lab.Lab

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

// endToEnd ends a test on a machine that cannot do it.
func endToEnd(t *testing.T) {
	t.Helper()
	lab.EndToEnd(t)
	engines.Need(t, "nix-build", "nix-instantiate", "nix-store", "busybox")
	engines.NeedRoot(t)
}
