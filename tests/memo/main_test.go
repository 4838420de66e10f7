// Package memo holds the end-to-end tests of the cache: what probe says and may
// open, that no state of the cache shows in any byte, and that what is spliced
// of cached parts is read by everything that reads archives.
package memo

import (
	"os"
	"testing"

	"terrine/tests/lab"
)

// shared is made ready by TestMain.
var shared lab.Lab

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }
