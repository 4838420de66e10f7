// Package nix has the end-to-end tests of the Nix functions in nix/: images that
// the real nix builds, with terrine as the builder, loaded and run by docker.
package nix

import (
	"os"
	"testing"

	"terrine/tests/lab"
	"terrine/tests/need"
)

// shared is made ready by TestMain.
var shared lab.Lab

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

// endToEnd ends a test on a machine that cannot do it.
func endToEnd(t *testing.T) {
	t.Helper()
	lab.EndToEnd(t)
	need.Programs(t, "nix-build", "nix-instantiate", "nix-store", "busybox")
	need.Root(t)
}
