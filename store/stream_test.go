package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

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
	need.HostNix(t)
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

// TestImportStreamWithFewFiles (F16): each object costs one, its lock, until it is valid.
func TestImportStreamWithFewFiles(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 100
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	importChain(t, openStore(t, t.TempDir(), store.Options{NoSync: true}), 200)
}

// TestImportStreamNamesTheObject: by its place in the stream, as there is no name
// before its end, and not by where it was to be.
func TestImportStreamNamesTheObject(t *testing.T) {
	var stream bytes.Buffer
	if err := writeChain(&stream, 2, 1, 100); err != nil {
		t.Fatal(err)
	}
	second := bytes.LastIndex(stream.Bytes(), []byte("regular"))
	bad := bytes.Clone(stream.Bytes())
	bad[second] = 'x'
	ended, end := context.WithCancel(t.Context())
	end()
	for name, test := range map[string]struct {
		ctx  context.Context
		r    io.Reader
		want string
	}{
		"malformed": {t.Context(), bytes.NewReader(bad), `read export: object 2: read NAR: "f0000" at byte `},
		"cut off":   {t.Context(), bytes.NewReader(bad[:second]), `read export: object 2: read NAR: "f0000" at byte `},
		"not read":  {t.Context(), io.MultiReader(bytes.NewReader(bad[:second]), iotest.ErrReader(errors.New("broken"))), "read export: object 2: read NAR: broken"},
		"ended":     {ended, &stream, `extract NAR to "object 1": context canceled`},
	} {
		s := openStore(t, t.TempDir(), store.Options{})
		if _, err := s.ImportStream(test.ctx, test.r); err == nil || !strings.HasPrefix(err.Error(), "import: "+test.want) {
			t.Errorf("%s: ImportStream = %v; want %s…", name, err, test.want)
		}
	}
}

func TestExportOfDamageSaysSo(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	list := chain(t, s, 2)
	if err := rewrite(filepath.Join(root, "nix/store", list[0].Base(), "f"), "other"); err != nil {
		t.Fatal(err)
	}
	if err := need.RemoveAll(filepath.Join(root, "nix/store", list[1].Base())); err != nil {
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
