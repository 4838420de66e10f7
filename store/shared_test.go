package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/store"
	"terrine/tests/need"
)

// TestTwoUsers (F33): a store belongs to one user. Another one who adds to it is
// told that permission is denied, and leaves nothing half done, whatever of it
// he may write to.
func TestTwoUsers(t *testing.T) {
	need.Root(t)
	need.Programs(t, "setpriv")
	// Which directories the other user may write to.
	for name, open := range map[string]func(rel string) bool{
		"none":        func(string) bool { return false },
		"objects":     func(rel string) bool { return rel == "nix/store" },
		"all":         func(string) bool { return true },
		"all but one": func(rel string) bool { return rel != "nix/var/terrine/info" },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			kept := add(t, openStore(t, root, store.Options{}), tree(t, map[string]string{"a": "1"}), store.AddOptions{Name: "kept"}).Path
			err := filepath.WalkDir(filepath.Join(root, "nix"), func(path string, d fs.DirEntry, err error) error {
				rel, _ := filepath.Rel(root, path)
				if err != nil || !d.IsDir() || !open(rel) || strings.Contains(rel, kept.Base()) {
					return err
				}
				return os.Chmod(path, 0o777)
			})
			if err != nil {
				t.Fatal(err)
			}
			dir := tree(t, map[string]string{"b": "2"})
			for _, task := range []string{"add", "gc"} {
				out, err := asNobody(t, task, root, dir)
				if err == nil || !strings.Contains(out, "permission denied") || strings.Contains(out, "goroutine ") {
					t.Errorf("%s as nobody = %q, %v; want permission denied", task, out, err)
				}
				s := other(t, root)
				if list, err := s.List(t.Context()); err != nil || len(list) != 1 {
					t.Errorf("after it, List = %v, %v; want one path", list, err)
				}
				if d := damage(t, s); d != nil {
					t.Errorf("after it, damage: %q", d)
				}
			}
			// The owner goes on, with what the other could not do.
			s := openStore(t, root, store.Options{})
			add(t, s, dir, store.AddOptions{Name: "added"})
			if err := s.AddRoot(t.Context(), "kept", kept); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.GC(t.Context(), store.GCOptions{}); err != nil {
				t.Error(err)
			}
			sound(t, root)
		})
	}
}

// TestPathsLongerThanThoseOfTheSystem: an object may have names in it that no system
// call takes from the root on. Its owner, who may not write to its directories,
// can remove it nevertheless, and others are optimised beside it.
func TestPathsLongerThanThoseOfTheSystem(t *testing.T) {
	need.Root(t)
	need.Programs(t, "setpriv")
	root, source := t.TempDir(), filepath.Join(t.TempDir(), "a-long")
	makeLong(t, source)
	if err := os.Chown(root, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	objects := filepath.Join(root, "nix/store")
	for _, task := range []string{"add", "gc", "add"} {
		if task == "gc" { // also what somebody has closed since
			if err := os.Chmod(filepath.Join(objects, names(t, objects)[0], longName), 0); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := asNobody(t, task, root, source); err != nil {
			t.Fatalf("%s as nobody = %q, %v", task, out, err)
		}
		if left := names(t, objects); task == "gc" && len(left) > 0 {
			t.Errorf("left by gc: %q", left)
		}
	}
	s := openStore(t, root, store.Options{})
	add(t, s, tree(t, map[string]string{"same": "text", "same too": "text"}), store.AddOptions{})
	if done, err := s.Optimise(t.Context()); err != nil || done.Files != 1 {
		t.Errorf("Optimise = %+v, %v; want one file", done, err)
	}
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
}

var longName = strings.Repeat("d", 250)

// makeLong makes a directory with a file in it whose path is longer than PATH_MAX.
func makeLong(t *testing.T, path string) {
	t.Helper()
	err := os.Mkdir(path, 0o755)
	var dir *os.Root
	if err == nil {
		dir, err = os.OpenRoot(path)
	}
	for range 20 {
		if err != nil {
			t.Fatal(err)
		}
		if err = dir.Mkdir(longName, 0o755); err == nil {
			up := dir
			dir, err = up.OpenRoot(longName)
			up.Close()
		}
	}
	if err == nil {
		err = errors.Join(dir.WriteFile("f", []byte("deep"), 0o644), dir.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
