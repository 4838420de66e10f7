package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
	"terrine/tests/need"
)

var errNoSource = errors.New("the source was asked")

// refuse is a Source that nobody should ask.
func refuse(context.Context, store.Path) (*store.Info, io.ReadCloser, error) {
	return nil, nil, errNoSource
}

func TestRepair(t *testing.T) {
	root := t.TempDir()
	s, good := openStore(t, root, store.Options{}), openStore(t, t.TempDir(), store.Options{})
	source := store.ObjectSource(good.RealDir(), good.Hold)
	var paths []store.Path
	for _, name := range []string{"missing", "changed", "info", "file-now", "fine"} {
		dir := tree(t, map[string]string{"f": name, "d/e": name})
		paths = append(paths, add(t, s, dir, store.AddOptions{Name: name}).Path)
		add(t, good, dir, store.AddOptions{Name: name})
	}
	object := func(p store.Path) string { return filepath.Join(s.RealDir(), p.Base()) }
	for _, err := range []error{
		need.RemoveAll(object(paths[0])),
		rewrite(filepath.Join(object(paths[1]), "f"), "CHANGED"),
		os.Remove(filepath.Join(root, "nix/var/terrine/info", paths[2].Base())),
		need.RemoveAll(object(paths[3])),
		os.WriteFile(object(paths[3]), nil, 0o444),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if d := damage(t, s); len(d) != 4 {
		t.Fatalf("damage: %q; want 4", d)
	}
	for i, p := range paths {
		if err := s.Repair(t.Context(), p, refuse); (err != nil) != (i < 2 || i == 3) {
			t.Errorf("Repair of %s without a source = %v", p, err)
		}
	}
	for p := range s.Verify(t.Context()) {
		if err := s.Repair(t.Context(), p, source); err != nil {
			t.Error(err)
		}
	}
	sound(t, root)
}

// TestStaleInfoFile: one that says otherwise than the index, such as from a copy of
// another store, is named and written anew.
func TestStaleInfoFile(t *testing.T) {
	for name, text := range map[string]string{"other signatures": "x", "other contents": "stale"} {
		for _, rebuild := range []bool{false, true} {
			root := t.TempDir()
			s := openStore(t, root, store.Options{})
			before := add(t, s, tree(t, map[string]string{"f": "x"}), store.AddOptions{Name: "p"})
			putStaleInfo(t, root, before.Path, text)
			if d := damage(t, s); len(d) != 1 || !strings.Contains(d[0], "info file") {
				t.Errorf("%s: damage %q; want that of the info file", name, d)
			}
			var err error
			if rebuild {
				_, err = s.Rebuild(t.Context())
			} else {
				err = s.Repair(t.Context(), before.Path, refuse)
			}
			if err != nil {
				t.Error(err)
			}
			sound(t, root)
			after, err := s.Info(t.Context(), before.Path)
			if diff := cmp.Diff(before, after); err != nil || diff != "" {
				t.Errorf("%s: after a rebuild (%t) or a repair (-before +after), %v:\n%s", name, rebuild, err, diff)
			}
		}
	}
}

// putStaleInfo puts the info file of p from a store that has it with a signature, and
// with a file of that text.
func putStaleInfo(t *testing.T, root string, p store.Path, text string) {
	t.Helper()
	otherRoot, dir := t.TempDir(), tree(t, map[string]string{"f": text})
	var b bytes.Buffer
	if err := nar.Dump(t.Context(), &b, dir); err != nil {
		t.Fatal(err)
	}
	info := &store.Info{Path: p, NARHash: digest.FromBytes(b.Bytes()), NARSize: int64(b.Len()), Signatures: []string{"key:stale"}}
	if err := openStore(t, otherRoot, store.Options{}).Import(t.Context(), info, &b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("nix/var/terrine/info", p.Base())
	stale, err := os.ReadFile(filepath.Join(otherRoot, file))
	if err == nil {
		err = os.WriteFile(filepath.Join(root, file), stale, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRepairTrustsNoSource: what has another hash leaves all as it was.
func TestRepairTrustsNoSource(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	p := add(t, s, tree(t, map[string]string{"f": "good"}), store.AddOptions{Name: "p"}).Path
	file := filepath.Join(s.RealDir(), p.Base(), "f")
	if err := rewrite(file, "Good"); err != nil {
		t.Fatal(err)
	}
	source := store.ObjectSource(s.RealDir(), s.Hold) // as damaged as the store
	if err := s.Repair(t.Context(), p, source); fault.CodeOf(err) != fault.Integrity {
		t.Errorf("Repair = %v; want class Integrity", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "Good" {
		t.Errorf("after it: %q, %v; want it as it was", b, err)
	}
	if err := s.Repair(t.Context(), "/nix/store/00000000000000000000000000000000-none", source); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Repair of what is not valid = %v", err)
	}
}

// circle returns a Source in which a refers to b and b to a.
func circle(a, b store.Path) store.Source {
	return func(_ context.Context, p store.Path) (*store.Info, io.ReadCloser, error) {
		info := &store.Info{Path: p, NARHash: digest.FromString("x"), NARSize: 1, References: []store.Path{a}}
		if p == a {
			info.References = []store.Path{b}
		}
		return info, io.NopCloser(strings.NewReader("x")), nil
	}
}

// TestRepairBringsReferencesBack takes rows away, as no command does.
func TestRepairBringsReferencesBack(t *testing.T) {
	root := t.TempDir()
	s, good := openStore(t, root, store.Options{}), openStore(t, t.TempDir(), store.Options{})
	var a, b, top store.Path
	for _, st := range []*store.Store{s, good} {
		a = link(t, st, "a")
		b = link(t, st, "b", a)
		top = link(t, st, "c", b)
	}
	if err := s.Repair(t.Context(), top, refuse); err != nil {
		t.Errorf("Repair of what is whole asks a source: %v", err)
	}
	db, err := durable.OpenDB(t.Context(), filepath.Join(root, "nix/var/terrine"), durable.DBOptions{
		Options: durable.Options{NoSync: true}, Schema: durable.Schema{Name: "terrine store of /nix/store", Version: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx *durable.Tx) error {
		return errors.Join(tx.Delete("paths", []byte(a.Base())), tx.Delete("paths", []byte(b.Base())))
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := damage(t, s); len(d) != 1 {
		t.Errorf("damage: %q; want that of c", d)
	}
	if err := s.Repair(t.Context(), top, circle(a, b)); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "circle") {
		t.Errorf("Repair from a source with a circle = %v; want Refused", err)
	}
	source := store.ObjectSource(good.RealDir(), good.Hold)
	unlocked := func(ctx context.Context, p store.Path) (*store.Info, io.ReadCloser, error) {
		// An import of both, which takes their locks in order, would wait for ever for one
		// who holds that of c and waits for that of p.
		lock, err := durable.TryLock(filepath.Join(root, "nix/var/terrine/locks", top.Base()+".lock"), durable.Exclusive)
		if lock == nil || errors.Join(err, lock.Remove()) != nil {
			t.Errorf("while %s is fetched the lock of %s is %v, %v", p, top, lock, err)
		}
		return source(ctx, p)
	}
	if err := s.Repair(t.Context(), top, unlocked); err != nil {
		t.Error(err)
	}
	sound(t, root)
}
