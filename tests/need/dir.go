package need

import (
	"io/fs"
	"os"
	"path/filepath"
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

// makeWritable does so for the directories of dir. What fails shows when they are removed.
func makeWritable(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
}
