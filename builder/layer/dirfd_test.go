package layer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"terrine/builder/layer/codec"
	"terrine/store"
)

// TestOpenStepwise opens what is below a directory, component by component, as systems
// without openat2 do: it follows no symlink, and does not leave the directory.
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

// TestNothingStaysOpen: descriptors are few, and no collector closes those of this
// package.
func TestNothingStaysOpen(t *testing.T) {
	objects := store.ObjectList(hashed(t, testStore(t)))
	policy := Policy{Owner: defaultOwner(), ContentDedup: true}
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	work := func() {
		scaffolds, err := Scan(t.Context(), objects, policy, 2)
		if err != nil {
			t.Fatal(err)
		}
		layers := []*Layer{New(policy, objects, scaffolds)}
		p := &Packer{Workers: 2, Verify: true}
		if _, err := p.Hash(t.Context(), layers); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Stream(t.Context(), layers, gz, discard); err != nil {
			t.Fatal(err)
		}
		root, err := unix.Open(objects[3].Dir, openRootFlags, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/a/b", "/a/none", "/none/b"} {
			if fd, err := openStepwise(root, objects[3].Path.Base()+path, unix.O_RDONLY); err == nil {
				unix.Close(fd)
			}
		}
		unix.Close(root)
	}
	work() // the first time, the runtime opens what it keeps
	before := openDescriptors()
	work()
	if after := openDescriptors(); after > before {
		t.Errorf("%d descriptors are open, before there were %d", after, before)
	}
}

func openDescriptors() (n int) {
	for fd := range 1 << 12 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}
