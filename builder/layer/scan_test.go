package layer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"terrine/store"
	"terrine/store/fault"
	"terrine/tests/need"
)

func TestRefuses(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"FIFO":      func(p string) error { return unix.Mkfifo(p, 0o644) },
		"socket":    func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) },
		"deletion":  func(p string) error { return os.WriteFile(filepath.Join(filepath.Dir(p), ".wh.odd"), nil, 0o644) },
		"than 3945": func(p string) error { return deep(p, 250, 17) },
		"nest":      func(p string) error { return deep(p, 1, 70) },
	} {
		objects := testStore(t)
		if err := make(filepath.Join(objects[3].Dir, objects[3].Path.Base(), "odd")); err != nil {
			t.Fatal(err)
		}
		_, err := Scan(t.Context(), objects, defaultPolicy(), 2)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "odd") || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: Scan returns %v (class %d)", name, err, fault.CodeOf(err))
		}
	}
}

// TestRefusesSizesThatOverflow: sums of the sizes of sparse files are no small
// numbers.
func TestRefusesSizesThatOverflow(t *testing.T) {
	for name, sizes := range map[string][]int64{
		"it has":  {math.MaxInt64, math.MaxInt64},
		"with it": {1 << 54, 1 << 54},
	} {
		_, _, err := scanSparse(t, sizes...)
		if err == nil || !strings.Contains(err.Error(), name) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("sizes %d: Scan returns %v, want %q", sizes, err, name)
		}
	}
}

// TestLargestFile: what Scan takes its records hold, whatever the size.
func TestLargestFile(t *testing.T) {
	object, scaffolds, err := scanSparse(t, 1<<54, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeScaffold(scaffolds[0].Encode(), object, defaultPolicy()); err != nil {
		t.Error(err)
	}
}

// scanSparse scans an object with sparse files of the given sizes.
func scanSparse(t *testing.T, sizes ...int64) (store.Object, []*Scaffold, error) {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "layer") // a tmpfs has such files
	if err != nil {
		need.Lacking(t, err.Error())
	}
	defer os.RemoveAll(dir)
	object := store.Object{Info: store.Info{Path: "/nix/store/00000000000000000000000000000000-sparse"}, Dir: dir}
	at := filepath.Join(dir, object.Path.Base())
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, size := range sizes {
		file := filepath.Join(at, fmt.Sprint(i))
		if err := errors.Join(os.WriteFile(file, nil, 0o644), os.Truncate(file, size)); err != nil {
			need.Lacking(t, err.Error())
		}
	}
	scaffolds, err := Scan(t.Context(), store.ObjectList{object}, defaultPolicy(), 2)
	return object, scaffolds, err
}

// deep makes a chain of directories, going down step by step since the path as
// a whole is too long for the kernel.
func deep(path string, width, depth int) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	return nest(root, strings.Repeat("l", width), depth)
}

// nest makes a directory in root, one in that, and so on, and closes root.
func nest(root *os.Root, name string, depth int) error {
	defer root.Close()
	if depth == 0 {
		return nil
	}
	if err := root.Mkdir(name, 0o755); err != nil {
		return err
	}
	below, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	return nest(below, name, depth-1)
}
