package need

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TempDir is tb.TempDir for what holds store objects.
func TempDir(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	Removable(tb, dir)
	return dir
}

// Removable lets what a test has made in dir be removed when it ends. Directories of
// store objects are read-only, and only root can remove anything from such.
func Removable(tb testing.TB, dir string) {
	tb.Helper()
	tb.Cleanup(func() { makeWritable(dir) })
}

// RemoveAll is os.RemoveAll for store objects too.
func RemoveAll(dir string) error {
	makeWritable(dir)
	return os.RemoveAll(dir)
}

// Umask sets the umask that most have, of all in the process, until the test ends. It is
// for tests that look at modes.
func Umask(tb testing.TB) {
	tb.Helper()
	old := syscall.Umask(0o022)
	tb.Cleanup(func() { syscall.Umask(old) })
}

// makeWritable does so for the directories of dir. What fails shows when they are removed.
func makeWritable(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
}
