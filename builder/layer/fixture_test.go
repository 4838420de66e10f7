package layer

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/store"
)

const testDigest = "00bgd045z0d4icpbc2yyz4gx48ak44la"

// testStore makes a store directory with an odd tree, a file, a symlink and a
// large object, and returns them as objects.
func testStore(t *testing.T) store.ObjectList {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, testDigest+"-tree")
	files := map[string]string{
		"a/b":                          "in a",
		"a-b/c":                        "sorts after a/b, before a.txt",
		"a.txt":                        "text",
		"a b\nc":                       "blank and newline",
		"\xff\xfe":                     "no UTF-8",
		strings.Repeat("n", 255):       "long name",
		strings.Repeat("d/", 50) + "f": "deep",
		strings.Repeat("dir"+strings.Repeat("x", 100)+"/", 4) + "f": "long path",
		"empty": "",
		"512":   strings.Repeat("x", 512),
		"513":   strings.Repeat("y", 513),
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		write(t, filepath.Join(tree, name), files[name], 0o644)
	}
	write(t, filepath.Join(tree, "bin/run"), "#!/bin/sh\n", 0o755)
	for _, err := range []error{
		os.MkdirAll(filepath.Join(tree, "empty-dir"), 0o700),
		os.Symlink("../"+strings.Repeat("t/", 150)+"target", filepath.Join(tree, "link")),
		os.Link(filepath.Join(tree, "a.txt"), filepath.Join(tree, "hardlink")),
		os.Symlink(testDigest+"-tree", filepath.Join(dir, testDigest+"-symlink")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, testDigest+"-file"), "a plain file", 0o444)
	large := filepath.Join(dir, testDigest+"-large")
	for i, n := range []int{partSize - 512, partSize, 3*partSize + 7, 5, partSize / 2, partSize/2 - 1000, 600} {
		write(t, filepath.Join(large, fmt.Sprint(i)), strings.Repeat(fmt.Sprint(i, "-"), n/2+1)[:n], 0o444)
	}
	var objects store.ObjectList
	for _, name := range []string{"file", "large", "symlink", "tree"} {
		p, err := store.DefaultDir.Join(testDigest + "-" + name)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, store.Object{Info: store.Info{Path: p}, Dir: dir})
	}
	return objects
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// defaultPolicy is that of a user who decides nothing.
func defaultPolicy() Policy { return Policy{Owner: defaultOwner()} }

func testLayers(t *testing.T, objects store.ObjectList, workers int) []*Layer {
	t.Helper()
	policy := defaultPolicy()
	scaffolds, err := Scan(t.Context(), objects, policy, workers)
	if err != nil {
		t.Fatal(err)
	}
	return []*Layer{New(policy, objects[:2], scaffolds[:2]), New(policy, objects[2:], scaffolds[2:])}
}

// buffer is a file in memory.
type buffer struct{ b []byte }

func (b *buffer) WriteAt(p []byte, off int64) (int, error) { return copy(b.b[off:], p), nil }

// pack returns the tars of layers, made by WriteAt.
func pack(t *testing.T, layers []*Layer, workers int) [][]byte {
	t.Helper()
	var offsets []int64
	total := int64(0)
	for _, l := range layers {
		offsets = append(offsets, total)
		total += l.Size
	}
	out := &buffer{b: make([]byte, total)}
	diffIDs, err := (&Packer{Workers: workers}).WriteAt(t.Context(), out, layers, offsets)
	if err != nil {
		t.Fatal(err)
	}
	tars := make([][]byte, len(layers))
	for i, l := range layers {
		tars[i] = out.b[offsets[i]:][:l.Size]
		if got := digest.FromBytes(tars[i]); got != diffIDs[i] {
			t.Errorf("layer %d: DiffID %s, the bytes have %s", i, diffIDs[i], got)
		}
	}
	return tars
}
