package layer

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSuspect(t *testing.T) {
	objects := testStore(t)
	layers := testLayers(t, objects, 1)
	tree := filepath.Join(objects[0].Dir, testDigest+"-tree")
	age := func(name string, modified time.Time) {
		if err := os.Chtimes(filepath.Join(tree, name), modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	suspects := func() (all []string) {
		for _, l := range layers {
			if s := l.Suspect(); s != "" {
				all = append(all, s)
			}
		}
		return all
	}
	want := func(name string) {
		t.Helper()
		for _, s := range suspects() {
			if s == filepath.Join(tree, name) {
				return
			}
		}
		t.Errorf("the suspects are %q, %s is not among them", suspects(), name)
	}
	age("a/b", time.Now().Add(time.Hour))
	want("a/b")
	age("a-b/c", time.Now().Add(2*time.Hour))
	want("a-b/c")
	if err := os.Remove(filepath.Join(tree, "513")); err != nil {
		t.Fatal(err)
	}
	want("513")
}
