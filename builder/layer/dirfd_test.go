package layer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOpenStepwise opens what is below a directory, component by component, as systems
// without openat2 do: it follows no symlink, does not leave the directory, and keeps
// nothing open but what it returns.
func TestOpenStepwise(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/b/file"), "x", 0o644)
	write(t, filepath.Join(dir, "file"), "x", 0o644)
	for name, target := range map[string]string{"a/up": "..", "a/b/link": "file"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := unix.Open(dir, openRootFlags, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	for path, want := range map[string]error{
		"file":         nil,
		"a/b":          nil,
		"a/b/file":     nil,
		"a/b/none":     unix.ENOENT,
		"none/file":    unix.ENOENT,
		"file/b":       unix.ENOTDIR,
		"a/b/link":     unix.ELOOP,
		"a/up/file":    unix.ELOOP,
		"a/../file":    unix.EINVAL,
		"a/./b":        unix.EINVAL,
		"a//b":         unix.EINVAL,
		"":             unix.EINVAL,
		"a/b/../../..": unix.EINVAL,
	} {
		fd, err := openStepwise(root, path, unix.O_RDONLY)
		if errors.Is(err, unix.ENOTDIR) && want == unix.ELOOP {
			continue // as Linux says it of what should be a directory
		}
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", path, err, want)
		}
		if err != nil {
			continue
		}
		var got, on unix.Stat_t
		if err := errors.Join(unix.Fstat(fd, &got), unix.Lstat(filepath.Join(dir, path), &on), unix.Close(fd)); err != nil || got.Ino != on.Ino {
			t.Errorf("%q: inode %d, want %d (%v)", path, got.Ino, on.Ino, err)
		}
	}
}
