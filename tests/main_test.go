// Package tests holds the end-to-end tests: the terrine that this module
// builds, run as a process on closures that the real nix built, and its images
// given to the programs that images are for.
package tests

import (
	"os"
	"testing"

	"terrine/tests/lab"
)

// shared is made ready by TestMain.
var shared lab.Lab

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }
