package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
)

// TestObjectsWithoutIndex holds to an index never being made anew in silence
// where there are objects, also if all that is known of them is gone.
func TestObjectsWithoutIndex(t *testing.T) {
	for _, gone := range []string{"var", "var/terrine"} {
		root := t.TempDir()
		list := chain(t, openStore(t, root, store.Options{}), 3)
		if err := os.RemoveAll(filepath.Join(root, "nix", gone)); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, root, store.Options{})
		if _, err := s.List(t.Context()); fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) != "run: terrine store rebuild" {
			t.Errorf("without %s: List = %v; want StoreDamaged with the hint to rebuild", gone, err)
		}
		r, err := s.Rebuild(t.Context())
		if err != nil || len(r.Valid) != 0 || len(r.Lost) != len(list) {
			t.Errorf("without %s: Rebuild = %+v, %v; want %d lost", gone, r, err, len(list))
		}
		if valid, err := s.List(t.Context()); err != nil || len(valid) != 0 {
			t.Errorf("without %s: List after Rebuild = %v, %v; want nothing", gone, valid, err)
		}
	}
}

// TestForeignEntryIsNoObject: a store may be made in a directory that has
// something else in it, such as that of a file system of its own.
func TestForeignEntryIsNoObject(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "nix/store/lost+found"), 0o755); err != nil {
		t.Fatal(err)
	}
	if list, err := openStore(t, root, store.Options{}).List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v; want an empty store", list, err)
	}
}

// TestRebuildWithoutInfoFiles holds to a rebuild losing nothing that the index
// still knows.
func TestRebuildWithoutInfoFiles(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	list := chain(t, s, 4)
	before, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info := filepath.Join(root, "nix/var/terrine/info")
	if err := os.Remove(filepath.Join(info, list[0].Base())); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(filepath.Join(info, list[1].Base()), "noise"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Rebuild(t.Context())
	if err != nil || len(r.Lost) != 0 {
		t.Fatalf("Rebuild = %+v, %v; want nothing lost", r, err)
	}
	after, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("List (-before +after):\n%s", diff)
	}
	if d := damage(t, s); d != nil {
		t.Errorf("damage after Rebuild: %q", d)
	}
}

// TestStoreOfNixIsRefused: what Nix has in its store has no row here, and would
// be garbage.
func TestStoreOfNixIsRefused(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "nix/var/nix/db"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), root, store.Options{})
	if fault.CodeOf(err) != fault.Refused || fault.HintOf(err) == "" {
		t.Errorf("Open = %v, %v; want Refused, with a hint", s, err)
	}
	if _, err := os.Lstat(filepath.Join(root, "nix/var/terrine")); err == nil {
		t.Error("Open has made a store of it nevertheless")
	}
}

func TestRebuildFindsEveryPath(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	list := chain(t, s, 5)
	before, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(root, "nix/var/terrine")
	for name, damage := range map[string]func() error{
		"emptied": func() error { return os.Truncate(filepath.Join(state, "db.bolt"), 0) },
		"noise": func() error {
			return os.WriteFile(filepath.Join(state, "db.bolt"), bytes.Repeat([]byte("x"), 40000), 0o644)
		},
		"removed": func() error { return os.Remove(filepath.Join(state, "db.bolt")) },
		"all removed": func() error {
			return errors.Join(os.Remove(filepath.Join(state, "db.bolt")), os.Remove(filepath.Join(state, "db.exists")))
		},
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, root, store.Options{})
		_, err := s.Info(t.Context(), list[0])
		if fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) != "run: terrine store rebuild" {
			t.Errorf("%s: Info = %v; want StoreDamaged with the hint to rebuild", name, err)
		}
		if _, err := s.Add(t.Context(), t.TempDir(), store.AddOptions{Name: "n"}); fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("%s: Add = %v; want StoreDamaged", name, err)
		}
		r, err := s.Rebuild(t.Context())
		if err != nil || len(r.Valid) != 5 || len(r.Lost) != 0 {
			t.Fatalf("%s: Rebuild = %+v, %v; want 5 valid paths", name, r, err)
		}
		after, err := s.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: List (-before +after):\n%s", name, diff)
		}
	}
}

// TestRebuildNamesWhatNothingKnows: an object without an info file was garbage if
// the index has no row for it. When there is no index, nobody can say so.
func TestRebuildNamesWhatNothingKnows(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	list := chain(t, s, 3)
	top := list[2].Base()
	if err := os.Mkdir(filepath.Join(root, "nix/store", strings.Repeat("0", 32)+"-garbage"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Rebuild(t.Context()); err != nil || len(r.Lost) != 0 {
		t.Errorf("with an index: Rebuild = %+v, %v; want nothing lost", r, err)
	}
	state := filepath.Join(root, "nix/var/terrine")
	if err := errors.Join(os.Remove(filepath.Join(state, "info", top)), os.Remove(filepath.Join(state, "db.bolt"))); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, root, store.Options{})
	r, err := s.Rebuild(t.Context())
	if err != nil || len(r.Valid) != 2 || len(r.Lost) != 2 || !strings.HasSuffix(string(r.Lost[0].Path), "-garbage") || r.Lost[1].Path != list[2] {
		t.Errorf("without an index: Rebuild = %+v, %v; want two paths valid, %s and the garbage lost", r, err, list[2])
	}
}

func TestRebuildNamesWhatIsLost(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	list := chain(t, s, 4)
	if err := rewrite(filepath.Join(root, "nix/store", list[1].Base(), "f"), "other"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Rebuild(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost := make(map[store.Path]string)
	for _, l := range r.Lost {
		lost[l.Path] = l.Reason.Error()
	}
	if len(r.Valid) != 1 || len(lost) != 3 || !strings.Contains(lost[list[1]], "differs") ||
		!strings.Contains(lost[list[2]], list[1].Base()) || !strings.Contains(lost[list[3]], list[2].Base()) {
		t.Errorf("Rebuild: valid %v, lost %v; want the first valid, the others lost", r.Valid, lost)
	}
	if d := damage(t, s); d != nil {
		t.Errorf("damage after Rebuild: %q", d)
	}
}
