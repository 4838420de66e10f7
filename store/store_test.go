package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
	"terrine/tests/need"
)

// openStore opens a store that need not survive a power cut.
func openStore(t *testing.T, root string, o store.Options) *store.Store {
	t.Helper()
	o.NoSync = true
	need.Removable(t, root)
	s, err := store.Open(t.Context(), root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tree makes a directory with the given files; a name that ends in '*' is an
// executable, a text that begins with "-> " a symlink.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			name, mode = strings.TrimSuffix(name, "*"), 0o755
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func add(t *testing.T, s *store.Store, path string, o store.AddOptions) *store.Info {
	t.Helper()
	info, err := s.Add(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// damage returns what Verify finds, as "PATH: ERROR" lines.
func damage(t *testing.T, s *store.Store) []string {
	t.Helper()
	var list []string
	for p, err := range s.Verify(t.Context()) {
		list = append(list, string(p)+": "+err.Error())
	}
	return list
}

func TestAddMakesWhatNixStoreAddMakes(t *testing.T) {
	need.HostNix(t)
	dir := tree(t, map[string]string{"bin/x*": "#!/bin/sh\n", "a": "text", "l": "-> a", "empty/.keep": ""})
	out, err := exec.Command("nix-store", "--add", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, t.TempDir(), store.Options{})
	info := add(t, s, dir, store.AddOptions{})
	want := strings.TrimSpace(string(out))
	if string(info.Path) != want {
		t.Errorf("Add = %s; want %s", info.Path, want)
	}
	theirs, err := exec.Command("nix-store", "--query", "--hash", want).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := store.FormatHash(info.NARHash); got != strings.TrimSpace(string(theirs)) {
		t.Errorf("NAR hash %s; want %s", got, theirs)
	}
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
}

func TestAddFindsReferences(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	a := add(t, s, tree(t, map[string]string{"a": "1"}), store.AddOptions{Name: "a"})
	b := add(t, s, tree(t, map[string]string{"b": "see " + string(a.Path) + "/a"}), store.AddOptions{Name: "b"})
	c := add(t, s, tree(t, map[string]string{"c": "-> " + string(b.Path)}), store.AddOptions{Name: "c"})
	none := add(t, s, tree(t, map[string]string{"c": "-> " + string(b.Path)}), store.AddOptions{Name: "none", References: []store.Path{}})
	for _, test := range []struct {
		info *store.Info
		want []store.Path
	}{{a, nil}, {b, []store.Path{a.Path}}, {c, []store.Path{b.Path}}, {none, nil}} {
		if diff := cmp.Diff(test.want, test.info.References); diff != "" {
			t.Errorf("references of %s (-want +got):\n%s", test.info.Path, diff)
		}
	}
	given := []store.Path{a.Path, b.Path, c.Path}
	slices.Sort(given)
	sorted := add(t, s, tree(t, map[string]string{"d": "1"}), store.AddOptions{Name: "given", References: given})
	mixed := add(t, s, tree(t, map[string]string{"d": "1"}), store.AddOptions{Name: "given", References: []store.Path{given[2], given[0], given[2], given[1]}})
	if diff := cmp.Diff(sorted, mixed); diff != "" || !slices.Equal(mixed.References, given) {
		t.Errorf("references in another order, and some twice (-want +got):\n%s", diff)
	}
	closure, err := s.Closure(t.Context(), c.Path)
	if err != nil || len(closure) != 3 {
		t.Fatalf("Closure = %v, %v; want 3 paths", closure, err)
	}
	for i := range closure[1:] {
		if closure[i].Path >= closure[i+1].Path {
			t.Errorf("Closure is not sorted: %s before %s", closure[i].Path, closure[i+1].Path)
		}
	}
}

func TestAddTwiceIsOnce(t *testing.T) {
	root := t.TempDir()
	dir := tree(t, map[string]string{"a": "1"})
	first := add(t, openStore(t, root, store.Options{}), dir, store.AddOptions{})
	before, err := os.Stat(filepath.Join(root, "nix/store", first.Path.Base()))
	if err != nil {
		t.Fatal(err)
	}
	second := add(t, openStore(t, root, store.Options{}), dir, store.AddOptions{})
	after, err := os.Stat(filepath.Join(root, "nix/store", first.Path.Base()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" || !os.SameFile(before, after) {
		t.Errorf("the second Add made something new (-first +second):\n%s", diff)
	}
}

func TestImportVerifies(t *testing.T) {
	dir := tree(t, map[string]string{"a": "text"})
	src := openStore(t, t.TempDir(), store.Options{})
	good := add(t, src, dir, store.AddOptions{})
	var buf bytes.Buffer
	if err := nar.Dump(t.Context(), &buf, dir); err != nil {
		t.Fatal(err)
	}
	missing := store.Path("/nix/store/00000000000000000000000000000000-missing")
	for _, test := range []struct {
		name   string
		change func(i *store.Info, b []byte) []byte
		code   fault.Code
		want   string
	}{
		{"hash", func(i *store.Info, b []byte) []byte {
			i.NARHash = "sha256:" + i.NARHash[7:39] + i.NARHash[7:39]
			return b
		}, fault.Integrity, "NAR hash"},
		{"size too small", func(i *store.Info, b []byte) []byte { i.NARSize--; return b }, fault.Integrity, "longer than"},
		{"size too large", func(i *store.Info, b []byte) []byte { i.NARSize++; return b }, fault.Integrity, "want"},
		{"cut off", func(i *store.Info, b []byte) []byte { return b[:len(b)-8] }, fault.Refused, ""},
		{"more behind it", func(i *store.Info, b []byte) []byte { return append(b, 'x') }, fault.Integrity, "longer than"},
		{"no NAR", func(i *store.Info, b []byte) []byte { return []byte("nonsense") }, fault.Refused, ""},
		{"other store", func(i *store.Info, b []byte) []byte { i.Path = "/other/store/" + store.Path(i.Path.Base()); return b }, fault.Refused, "not in /nix/store"},
		{"missing reference", func(i *store.Info, b []byte) []byte { i.References = []store.Path{missing}; return b }, fault.Refused, string(missing)},
		{"newline", func(i *store.Info, b []byte) []byte { i.CA = "a\nNarSize: 1"; return b }, fault.Refused, "newline"},
	} {
		root := t.TempDir()
		s := openStore(t, root, store.Options{})
		info := *good
		nar := test.change(&info, bytes.Clone(buf.Bytes()))
		err := s.Import(t.Context(), &info, bytes.NewReader(nar))
		if fault.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Import = %v (class %d); want class %d with %q", test.name, err, fault.CodeOf(err), test.code, test.want)
		}
		if _, err := s.Info(t.Context(), info.Path); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: Info = %v; want ErrNotFound", test.name, err)
		}
		if left := names(t, filepath.Join(root, "nix/store")); len(left) > 0 {
			t.Errorf("%s: left behind: %q", test.name, left)
		}
		if err := s.Import(t.Context(), good, bytes.NewReader(buf.Bytes())); err != nil {
			t.Errorf("%s: then Import of the good NAR: %v", test.name, err)
		}
		if d := damage(t, s); d != nil {
			t.Errorf("%s: damage: %q", test.name, d)
		}
	}
}

// TestOpenNamesTheStoreOnce: each layer below has its own name for it.
func TestOpenNamesTheStoreOnce(t *testing.T) {
	root := t.TempDir()
	state := filepath.Join(root, "nix/var/terrine")
	if err := os.MkdirAll(state, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := durable.TryLock(filepath.Join(state, "db.lock"), durable.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	_, err = store.Open(t.Context(), root, store.Options{LockTimeout: time.Millisecond})
	if fault.CodeOf(err) != fault.Busy || strings.Count(err.Error(), root) != 1 {
		t.Errorf("Open while another makes the index = %v; want Busy, and the store named once", err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestCloseSaysWhoseRemains: what a Store cannot remove of its own is of no earlier run.
func TestCloseSaysWhoseRemains(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	add(t, s, tree(t, map[string]string{"f": "x"}), store.AddOptions{Name: "p"})
	objects := filepath.Join(root, "nix/store")
	if err := errors.Join(os.Rename(objects, objects+".away"), os.WriteFile(objects, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err == nil || strings.Contains(err.Error(), "earlier") {
		t.Errorf("Close = %v; want an error that speaks of no earlier run", err)
	}
}

func TestVerifyNamesEachDamage(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	want := make(map[store.Path]string)
	damageWith := func(name, text string, f func(object, info string) error) {
		p := add(t, s, tree(t, map[string]string{"f": name}), store.AddOptions{Name: name}).Path
		want[p] = text
		if err := f(filepath.Join(root, "nix/store", p.Base()), filepath.Join(root, "nix/var/terrine/info", p.Base())); err != nil {
			t.Fatal(err)
		}
	}
	damageWith("missing", "it is missing", func(o, _ string) error { return need.RemoveAll(o) })
	damageWith("hash", "hash differs", func(o, _ string) error { return rewrite(filepath.Join(o, "f"), "hasH") })
	damageWith("size", "size differs", func(o, _ string) error { return rewrite(filepath.Join(o, "f"), "much longer") })
	damageWith("info", "info file is missing", func(_, i string) error { return os.Remove(i) })
	damageWith("broken-info", "does not match its checksum", func(_, i string) error {
		b, err := os.ReadFile(i)
		if err != nil {
			return err
		}
		b[30] ^= 1
		return os.WriteFile(i, b, 0o644)
	})
	add(t, s, tree(t, map[string]string{"f": "good"}), store.AddOptions{Name: "good"})
	last := store.Path("")
	for p, err := range s.Verify(t.Context()) {
		text, ok := want[p]
		if !ok || !strings.Contains(err.Error(), text) || fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("Verify gave %q: %v; want %q", p, err, text)
		}
		if p <= last {
			t.Errorf("Verify gave %q after %q", p, last)
		}
		last = p
		delete(want, p)
	}
	if len(want) > 0 {
		t.Errorf("Verify did not name %v", want)
	}
}

func rewrite(path, text string) error {
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o444)
}

func TestVerifyStopsWithItsContext(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	add(t, s, tree(t, map[string]string{"a": "1"}), store.AddOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for p, err := range s.Verify(ctx) {
		if n++; p != "" || !errors.Is(err, context.Canceled) {
			t.Errorf("Verify gave %q: %v; want context.Canceled", p, err)
		}
	}
	if n != 1 {
		t.Errorf("Verify gave %d errors; want 1", n)
	}
}
