package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"terrine/store"
	"terrine/store/fault"
)

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
