package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"terrine/store"
	"terrine/store/fault"
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

func TestIndirectRootsVanishWithTheirLinks(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	s := openStore(t, root, store.Options{})
	p := link(t, s, "p")
	result := filepath.Join(dir, "result")
	if err := s.AddIndirectRoot(t.Context(), result, p); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(result, "f")); err != nil || string(text) != "p\n" {
		t.Errorf("through the link: %q, %v", text, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = other(t, root)
	roots, err := s.Roots(t.Context())
	if err != nil || len(roots) != 1 || roots[0] != (store.Root{Link: result, Path: p}) {
		t.Errorf("Roots = %v, %v", roots, err)
	}
	if got := collect(t, s, store.GCOptions{}); len(got) != 0 {
		t.Errorf("removed %q", got)
	}
	if err := os.Remove(result); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s, store.GCOptions{}); !slices.Equal(got, []string{"p"}) {
		t.Errorf("without the link, removed %q; want p", got)
	}
	if left := names(t, filepath.Join(root, "nix/var/terrine/links")); len(left) > 0 {
		t.Errorf("left in links: %q", left)
	}
	sound(t, root)
}

// TestGCKeepsARootThatIsBeingMade collects while another has registered an
// indirect root, and has not made its symlink yet.
func TestGCKeepsARootThatIsBeingMade(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	p := link(t, s, "p")
	if err := s.AddRoot(t.Context(), "keep", p); err != nil {
		t.Fatal(err)
	}
	link(t, s, "garbage")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	registered, collected := make(chan struct{}), make(chan struct{})
	first := true
	maker := openStore(t, root, store.Options{Fail: func(point string) error {
		if point == "symlink.renamed" && first {
			first = false
			close(registered)
			<-collected
		}
		return nil
	}})
	made := make(chan error, 1)
	result := filepath.Join(t.TempDir(), "result")
	collector := openStore(t, root, store.Options{Fail: func(point string) error {
		if point == "gc.removed" {
			go func() { made <- maker.AddIndirectRoot(t.Context(), result, p) }()
			<-registered
		}
		return nil
	}})
	if got := collect(t, collector, store.GCOptions{}); !slices.Equal(got, []string{"garbage"}) {
		t.Errorf("removed %q; want garbage", got)
	}
	close(collected)
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	if roots, err := s.Roots(t.Context()); err != nil || !slices.Contains(roots, store.Root{Link: result, Path: p}) {
		t.Errorf("Roots = %v, %v; want %s among them", roots, err, result)
	}
}

func TestRootsAreRefused(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	p := link(t, s, "p")
	none := store.Path("/nix/store/00000000000000000000000000000000-none")
	if err := s.AddRoot(t.Context(), "x", none); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("root of what is not valid: %v", err)
	}
	if err := s.AddRoot(t.Context(), "../x", p); fault.CodeOf(err) != fault.Refused {
		t.Errorf("root with a bad name: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.AddIndirectRoot(t.Context(), file, p); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), file) {
		t.Errorf("link in the place of a file: %v", err)
	}
	if err := s.RemoveRoot(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove of no root: %v", err)
	}
	// A root that cannot be read may be the one that keeps everything.
	if err := os.WriteFile(filepath.Join(root, "nix/var/terrine/roots/odd"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context(), store.GCOptions{}); fault.CodeOf(err) != fault.StoreDamaged || !strings.Contains(err.Error(), "odd") {
		t.Errorf("GC with a root that is none: %v", err)
	}
	if err := s.RemoveRoot(t.Context(), "odd"); err != nil {
		t.Error(err)
	}
}

// TestHeldPathsAreNotCollected: a path that is read, imported or added by a
// Store that is open stays, with all it refers to.
func TestHeldPathsAreNotCollected(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	a := link(t, s, "a")
	b := link(t, s, "b", a)
	link(t, s, "c")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	reader, collector := other(t, root), other(t, root)
	infos, err := reader.Hold(t.Context(), b)
	if err != nil || len(infos) != 2 {
		t.Fatalf("Hold = %v, %v", infos, err)
	}
	if got := collect(t, collector, store.GCOptions{}); !slices.Equal(got, []string{"c"}) {
		t.Errorf("removed %q; want c", got)
	}
	if _, err := collector.Delete(t.Context(), b); fault.CodeOf(err) != fault.Busy || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("Delete of what is in use = %v; want Busy naming this process", err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, collector, store.GCOptions{}); len(got) != 2 {
		t.Errorf("after Close, removed %q; want a and b", got)
	}
	sound(t, root)
}

// TestHoldOutlivesItsFile: when the file that says what is held is removed by hand,
// the next who hold something, at once, write another with all that is held.
func TestHoldOutlivesItsFile(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	var paths []store.Path
	for i := range 9 {
		paths = append(paths, link(t, s, "p"+strconv.Itoa(i)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		s := other(t, root)
		if _, err := s.Hold(t.Context(), paths[0]); err != nil {
			t.Fatal(err)
		}
		owners := filepath.Join(root, "nix/var/terrine/owners")
		for _, name := range names(t, owners) {
			if err := os.Remove(filepath.Join(owners, name)); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for _, p := range paths[1:] {
			wg.Go(func() {
				if _, err := s.Hold(t.Context(), p); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := collect(t, other(t, root), store.GCOptions{DryRun: true}); len(got) > 0 {
			t.Fatalf("%q would be removed", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
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

func TestDeleteNamesWhoKeeps(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	a := link(t, s, "a")
	b := link(t, s, "b", a)
	if err := s.AddRoot(t.Context(), "kept", b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = other(t, root)
	for _, test := range []struct {
		paths []store.Path
		want  string
	}{
		{[]store.Path{a}, string(a) + " is referred to by " + string(b)},
		{[]store.Path{b}, string(b) + " is kept by the root kept"},
		{[]store.Path{a, b}, string(b) + " is kept by the root kept"},
	} {
		_, err := s.Delete(t.Context(), test.paths...)
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Delete(%v) = %v; want Refused: %s", test.paths, err, test.want)
		}
	}
	if err := s.RemoveRoot(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	c, err := s.Delete(t.Context(), a, b)
	if err != nil || !slices.Equal(infoNames(c.Paths), []string{"b", "a"}) {
		t.Errorf("Delete of both = %v, %v; want b, then a", c, err)
	}
	if _, err := s.Delete(t.Context(), a); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Delete again = %v; want ErrNotFound", err)
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
	for _, file := range []string{"nix/store/lost+found", "nix/var/terrine/info/00000000000000000000000000000000-no-row", "nix/var/terrine/locks/x.lock"} {
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
	for _, dir := range []string{"info", "locks"} {
		if got := names(t, filepath.Join(root, "nix/var/terrine", dir)); slices.Contains(got, "x.lock") || slices.Contains(got, "00000000000000000000000000000000-no-row") ||
			slices.Contains(got, filepath.Base(half)) {
			t.Errorf("left in %s: %q", dir, got)
		}
	}
}
