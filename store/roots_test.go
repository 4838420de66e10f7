package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"terrine/store"
	"terrine/store/fault"
)

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

// TestRemoveRootAgain stops a removal of an indirect root halfway: the same again
// finishes it.
func TestRemoveRootAgain(t *testing.T) {
	killed := errors.New("killed")
	s := openStore(t, t.TempDir(), store.Options{Fail: func(point string) error {
		if killed != nil && point == "roots.unlinked" {
			return killed
		}
		return nil
	}})
	result := filepath.Join(t.TempDir(), "result")
	if err := s.AddIndirectRoot(t.Context(), result, link(t, s, "p")); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveRoot(t.Context(), result); !errors.Is(err, killed) {
		t.Errorf("RemoveRoot = %v; want to be stopped", err)
	}
	killed = nil
	if err := s.RemoveRoot(t.Context(), result); err != nil {
		t.Errorf("RemoveRoot again = %v", err)
	}
	if _, err := os.Lstat(result); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the symlink is left (%v)", err)
	}
	if err := s.RemoveRoot(t.Context(), result); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("RemoveRoot of what is gone = %v", err)
	}
}

// TestRemoveRootOutOfReach: a symlink that cannot be looked at keeps anything from being
// collected, until it is no root any more.
func TestRemoveRootOutOfReach(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	dir := filepath.Join(t.TempDir(), "a d")
	result := filepath.Join(dir, "result")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.AddIndirectRoot(t.Context(), result, link(t, s, "p")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.Symlink(dir, dir)); err != nil {
		t.Fatal(err)
	}
	_, err := s.GC(t.Context(), store.GCOptions{})
	if want := "roots rm '" + result + "' "; !errors.Is(err, syscall.ELOOP) || !strings.Contains(fault.HintOf(err), want) {
		t.Errorf("GC = %v, hint %q; want ELOOP, and to be told %q", err, fault.HintOf(err), want)
	}
	if err := s.RemoveRoot(t.Context(), result); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("RemoveRoot = %v; want ELOOP", err)
	}
	if _, err := s.GC(t.Context(), store.GCOptions{}); err != nil {
		t.Errorf("after RemoveRoot: GC = %v", err)
	}
}

// TestLinksMadeAndRemovedAtOnce holds to a symlink being a root for as long as it is
// there, whoever makes and removes it.
func TestLinksMadeAndRemovedAtOnce(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	p, result := link(t, s, "p"), filepath.Join(t.TempDir(), "result")
	var both sync.WaitGroup
	both.Go(func() {
		for range 60 {
			if err := s.AddIndirectRoot(t.Context(), result, p); err != nil {
				t.Errorf("AddIndirectRoot: %v", err)
			}
		}
	})
	both.Go(func() {
		other := openStore(t, root, store.Options{})
		for range 60 {
			if err := other.RemoveRoot(t.Context(), result); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("RemoveRoot: %v", err)
			}
		}
	})
	both.Wait()
	_, gone := os.Lstat(result)
	roots, err := s.Roots(t.Context())
	isRoot := slices.ContainsFunc(roots, func(r store.Root) bool { return r.Link == result })
	if err != nil || isRoot != (gone == nil) {
		t.Errorf("Roots = %v, %v, and the symlink: %v", roots, err, gone)
	}
}

// TestLinksIntoOddPlaces: what keeps a path is the part of a symlink's target that is
// below the objects, also where ROOT lies in a directory named like a store path.
func TestLinksIntoOddPlaces(t *testing.T) {
	digest := strings.Repeat("a", 32)
	top := filepath.Join(t.TempDir(), digest+"-data")
	root := filepath.Join(top, "nix", "store", digest+"-other", "st")
	s := openStore(t, root, store.Options{})
	p := link(t, s, "p")
	result := filepath.Join(t.TempDir(), "result")
	if err := s.AddIndirectRoot(t.Context(), result, p); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		filepath.Join(s.RealDir(), p.Base()),
		filepath.Join(s.RealDir(), p.Base(), digest+"-file"),
		string(p),
		string(p) + "/nix/store/" + digest + "-file",
		filepath.Join("/moved", digest+"-data/st/nix/store", p.Base()),
		"../" + p.Base(),
	} {
		if err := errors.Join(os.Remove(result), os.Symlink(target, result)); err != nil {
			t.Fatal(err)
		}
		roots, err := s.Roots(t.Context())
		if err != nil || !slices.Contains(roots, store.Root{Link: result, Path: p}) {
			t.Errorf("with a symlink to %s: Roots = %v, %v; want %s", target, roots, err, p)
		}
	}
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
