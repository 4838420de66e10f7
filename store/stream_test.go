package store_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
	"terrine/tests/need"
)

// chain adds n paths, each of which refers to the one before.
func chain(t *testing.T, s *store.Store, n int) []store.Path {
	t.Helper()
	var list []store.Path
	text := "first"
	for range n {
		p := add(t, s, tree(t, map[string]string{"f": text, "x*": "#!"}), store.AddOptions{Name: "chain"}).Path
		list = append(list, p)
		text = string(p)
	}
	return list
}

func TestExportToNixAndBack(t *testing.T) {
	need.Programs(t, "nix-store")
	t.Setenv("NIX_REMOTE", "")
	ours := openStore(t, t.TempDir(), store.Options{})
	list := chain(t, ours, 4)
	want, err := ours.Closure(t.Context(), list[3])
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	backwards := slices.Clone(list)
	slices.Reverse(backwards)
	if err := ours.Export(t.Context(), &stream, append(backwards, list[0])...); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nix-store", "--import")
	cmd.Stdin = &stream
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nix-store --import: %v\n%s", err, out)
	}
	requisites, err := exec.Command("nix-store", "--query", "--requisites", string(list[3])).Output()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--export"}, strings.Fields(string(requisites))...)
	back, err := exec.Command("nix-store", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	other := openStore(t, t.TempDir(), store.Options{})
	got, err := other.ImportStream(t.Context(), bytes.NewReader(back))
	if err != nil || len(got) != 4 {
		t.Fatalf("ImportStream = %d paths, %v; want 4", len(got), err)
	}
	closure, err := other.Closure(t.Context(), list[3])
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].CA = "" // the stream does not have it
	}
	if diff := cmp.Diff(want, closure); diff != "" {
		t.Errorf("closure after the way through nix (-want +got):\n%s", diff)
	}
	if d := damage(t, other); d != nil {
		t.Errorf("damage: %q", d)
	}
	again, err := other.ImportStream(t.Context(), bytes.NewReader(back))
	if err != nil || len(again) != 4 {
		t.Errorf("ImportStream again = %d paths, %v; want 4", len(again), err)
	}
}

func TestImportStreamRefusesWhatItsReferencesDoNotCome(t *testing.T) {
	ours := openStore(t, t.TempDir(), store.Options{})
	list := chain(t, ours, 2)
	var stream bytes.Buffer
	if err := ours.Export(t.Context(), &stream, list[1]); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	other := openStore(t, root, store.Options{})
	_, err := other.ImportStream(t.Context(), &stream)
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), string(list[0])) {
		t.Errorf("ImportStream = %v; want Refused naming %s", err, list[0])
	}
	if left := names(t, filepath.Join(root, "nix/store")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestExportOfDamageSaysSo(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	list := chain(t, s, 2)
	if err := rewrite(filepath.Join(root, "nix/store", list[0].Base(), "f"), "other"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "nix/store", list[1].Base())); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		err := s.Export(t.Context(), &bytes.Buffer{}, p)
		if fault.CodeOf(err) != fault.StoreDamaged || !strings.Contains(err.Error(), string(p)) || fault.HintOf(err) == "" {
			t.Errorf("Export(%s) = %v; want StoreDamaged naming it, with a hint", p, err)
		}
	}
	err := s.Export(t.Context(), &bytes.Buffer{}, "/nix/store/00000000000000000000000000000000-none")
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Export of an invalid path = %v; want ErrNotFound", err)
	}
}
