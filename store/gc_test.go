package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"terrine/store"
)

// collect runs GC and returns the names of what it removed.
func collect(t *testing.T, s *store.Store, o store.GCOptions) []string {
	t.Helper()
	c, err := s.GC(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return infoNames(c.Paths)
}

func infoNames(infos []*store.Info) []string {
	list := []string{}
	for _, info := range infos {
		list = append(list, info.Path.Name())
	}
	return list
}

// other opens the store again, as another process would: what it holds, the
// first does not.
func other(t *testing.T, root string) *store.Store {
	t.Helper()
	return openStore(t, root, store.Options{})
}

// link adds a path of the given name that refers to refs.
func link(t *testing.T, s *store.Store, name string, refs ...store.Path) store.Path {
	t.Helper()
	text := name + "\n"
	for _, ref := range refs {
		text += string(ref) + "\n"
	}
	return add(t, s, tree(t, map[string]string{"f": text}), store.AddOptions{Name: name}).Path
}

// sound checks that a store is whole, and that nothing is left on its way.
func sound(t *testing.T, root string) {
	t.Helper()
	s := other(t, root)
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, info := range list {
		want = append(want, info.Path.Base())
	}
	for _, dir := range []string{"nix/store", "nix/var/terrine/info"} {
		got := slices.DeleteFunc(names(t, filepath.Join(root, dir)), func(n string) bool { return n == ".links" })
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q; want %q", dir, got, want)
		}
	}
}

func TestGCKeepsWhatRootsLeadTo(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	a := link(t, s, "a")
	b := link(t, s, "b", a)
	c := link(t, s, "c", b)
	d := link(t, s, "d")
	link(t, s, "e", d)
	if err := s.Close(); err != nil { // it held all of them
		t.Fatal(err)
	}
	s = other(t, root)
	if err := s.AddRoot(t.Context(), "keep", b); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s, store.GCOptions{DryRun: true}); len(got) != 3 {
		t.Errorf("a dry run finds %q; want c, d and e", got)
	}
	if _, err := s.Info(t.Context(), c); err != nil {
		t.Errorf("after a dry run: %v", err)
	}
	got := collect(t, s, store.GCOptions{})
	slices.Sort(got[:2])
	if !slices.Equal(got, []string{"c", "e", "d"}) {
		t.Errorf("removed %q; want c, e, and d after e", got)
	}
	sound(t, root)
	if err := s.RemoveRoot(t.Context(), "keep"); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s, store.GCOptions{}); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("removed %q; want b and a", got)
	}
	sound(t, root)
}

func TestGCLimits(t *testing.T) {
	root := t.TempDir()
	now := time.Unix(1_000_000, 0)
	o := store.Options{Now: func() time.Time { return now }}
	var size int64
	for i := range 5 {
		s := openStore(t, root, o)
		p := link(t, s, "p"+strconv.Itoa(i))
		info, err := s.Info(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		size = info.NARSize
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	s := openStore(t, root, o) // p4 is an hour old, p0 five
	if got := collect(t, s, store.GCOptions{OlderThan: 5 * time.Hour}); len(got) != 0 {
		t.Errorf("older than five hours: removed %q; want none", got)
	}
	if got := collect(t, s, store.GCOptions{OlderThan: 4 * time.Hour}); !slices.Equal(got, []string{"p0"}) {
		t.Errorf("older than four hours: removed %q; want p0", got)
	}
	if got := collect(t, s, store.GCOptions{MaxFreed: size + 1}); !slices.Equal(got, []string{"p1", "p2"}) {
		t.Errorf("max. %d bytes: removed %q; want the two oldest", size+1, got)
	}
	now = time.Unix(0, 0) // the clock went back: nothing is old
	if got := collect(t, s, store.GCOptions{OlderThan: time.Second}); len(got) != 0 {
		t.Errorf("with the clock set back: removed %q; want none", got)
	}
	sound(t, root)
}

func TestDetail(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	a := link(t, s, "a")
	b := link(t, s, "b", a)
	c := link(t, s, "c", a, b)
	d, err := s.Detail(t.Context(), a)
	if err != nil || !slices.Equal(d.Referrers, sortedPair(b, c)) || d.ClosureSize != d.NARSize {
		t.Errorf("Detail(a) = %+v, %v", d, err)
	}
	d, err = s.Detail(t.Context(), c)
	var sum int64
	closure, cerr := s.Closure(t.Context(), c)
	for _, info := range closure {
		sum += info.NARSize
	}
	if err != nil || cerr != nil || d.Referrers != nil || d.ClosureSize != sum {
		t.Errorf("Detail(c) = %+v, %v; want a closure of %d bytes (%v)", d, err, sum, cerr)
	}
}

func sortedPair(a, b store.Path) []store.Path {
	if a > b {
		return []store.Path{b, a}
	}
	return []store.Path{a, b}
}

// TestGCRemovesGarbage: what killed processes left goes, what is not ours stays.
func TestGCRemovesGarbage(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	p := link(t, s, "p")
	objects := filepath.Join(root, "nix/store")
	for _, name := range []string{"00000000000000000000000000000000-no-row", ".tmp-1-gone-1", ".tmp-1-gone-2"} {
		if err := os.MkdirAll(filepath.Join(objects, name, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"nix/store/lost+found", "nix/var/terrine/info/00000000000000000000000000000000-no-row", "nix/var/terrine/locks/x.lock",
		"nix/var/terrine/.db.bolt.0123456789abcdef", "nix/var/terrine/.db.exists.0123456789abcdef"} {
		if err := os.WriteFile(filepath.Join(root, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	half := filepath.Join(root, "nix/var/terrine/info/."+p.Base()+".0123456789abcdef")
	if err := errors.Join(os.WriteFile(half, nil, 0o644), os.Chtimes(half, time.Time{}, time.Unix(1, 0))); err != nil {
		t.Fatal(err)
	}
	c, err := other(t, root).GC(t.Context(), store.GCOptions{})
	if err != nil || len(c.Paths) != 0 || c.Garbage != 3 {
		t.Errorf("GC = %+v, %v; want 3 pieces of garbage", c, err)
	}
	if got := names(t, objects); !slices.Equal(got, []string{p.Base(), "lost+found"}) {
		t.Errorf("left: %q", got)
	}
	for _, dir := range []string{".", "info", "locks"} {
		if got := names(t, filepath.Join(root, "nix/var/terrine", dir)); slices.Contains(got, "x.lock") || slices.Contains(got, "00000000000000000000000000000000-no-row") ||
			slices.ContainsFunc(got, func(name string) bool { return strings.HasPrefix(name, ".") }) {
			t.Errorf("left in %s: %q", dir, got)
		}
	}
}

// TestGCEndsWithItsContext: it says so once, and Close removes what is in nobody's way
// any more.
func TestGCEndsWithItsContext(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	add(t, s, tree(t, map[string]string{"a": "1"}), store.AddOptions{})
	if err := s.Close(); err != nil { // which has used it
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = openStore(t, root, store.Options{Fail: func(point string) error {
		if point == "gc.renamed" {
			cancel()
		}
		return nil
	}})
	if c, err := s.GC(ctx, store.GCOptions{}); len(c.Paths) != 1 || strings.Count(err.Error(), context.Canceled.Error()) != 1 {
		t.Errorf("GC = %v, %q; want one path and one reason", c, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, filepath.Join(root, "nix/store")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestGCThatFailsCleansUp: what was set aside before an error is removed then and
// there, where a signal is heard, and not by Close.
func TestGCThatFailsCleansUp(t *testing.T) {
	root, renamed, failure := t.TempDir(), 0, errors.New("no")
	s := openStore(t, root, store.Options{})
	chain(t, s, 3)
	if err := s.Close(); err != nil { // which has used them
		t.Fatal(err)
	}
	s = openStore(t, root, store.Options{Fail: func(point string) error {
		if point != "gc.renamed" {
			return nil
		}
		if renamed++; renamed == 2 {
			return failure
		}
		return nil
	}})
	if _, err := s.GC(t.Context(), store.GCOptions{}); !errors.Is(err, failure) {
		t.Errorf("GC = %v", err)
	}
	if left := names(t, filepath.Join(root, "nix/store")); len(left) != 1 {
		t.Errorf("left behind: %q; want the one that GC did not come to", left)
	}
}

// TestCleaningUpEndsWithItsContext: what a process that is gone has left may be large,
// so one that was told to stop leaves it to the next.
func TestCleaningUpEndsWithItsContext(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	left, owner := filepath.Join(root, "nix/store/.tmp-1-gone-1"), filepath.Join(root, "nix/var/terrine/owners/1-gone")
	notes := fmt.Sprintf("%-20d\ntemp %s\n", 1, filepath.Base(left))
	if err := errors.Join(os.Mkdir(left, 0o755), os.WriteFile(owner, []byte(notes), 0o644)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := tree(t, map[string]string{"a": "1"})
	if _, err := s.Add(ctx, dir, store.AddOptions{References: []store.Path{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Add = %v; want context.Canceled", err)
	}
	if _, err := s.GC(ctx, store.GCOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("GC = %v; want context.Canceled", err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Error(err)
	}
	add(t, s, dir, store.AddOptions{})
	for _, path := range []string{left, owner} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v; want it gone", path, err)
		}
	}
}
