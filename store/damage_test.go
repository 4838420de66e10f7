package store_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"terrine/store"
	"terrine/store/durable"
	"terrine/store/fault"
)

// indexDamage is a way to damage the file of an index.
var indexDamage = []struct {
	name string
	do   func(b []byte, r *rand.Rand) []byte
}{
	{"emptied", func([]byte, *rand.Rand) []byte { return []byte{} }},
	{"removed", func([]byte, *rand.Rand) []byte { return nil }},
	{"truncated", func(b []byte, r *rand.Rand) []byte { return b[:r.IntN(len(b))] }},
	{"bit flipped", func(b []byte, r *rand.Rand) []byte {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	}},
	{"bits flipped", func(b []byte, r *rand.Rand) []byte {
		for range 64 {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		return b
	}},
	{"page zeroed", func(b []byte, r *rand.Rand) []byte {
		at := r.IntN(len(b)/os.Getpagesize()) * os.Getpagesize()
		clear(b[at : at+os.Getpagesize()])
		return b
	}},
	{"meta pages swapped", func(b []byte, _ *rand.Rand) []byte {
		n := os.Getpagesize()
		return bytes.Join([][]byte{b[n : 2*n], b[:n], b[2*n:]}, nil)
	}},
	{"page of noise", func(b []byte, r *rand.Rand) []byte {
		at := r.IntN(len(b)/os.Getpagesize()) * os.Getpagesize()
		for i := range os.Getpagesize() {
			b[at+i] = byte(r.Uint32())
		}
		return b
	}},
	{"pages copied over others", func(b []byte, r *rand.Rand) []byte {
		n := os.Getpagesize()
		copy(b[r.IntN(len(b)/n)*n:], bytes.Clone(b[r.IntN(len(b)/n)*n:][:n]))
		return b
	}},
	{"older index", nil}, // of a store with fewer paths: bbolt finds no fault with it
}

// damagedIndexes is how many indexes TestDamagedIndexes damages.
const damagedIndexes = 200

// TestDamagedIndexes (F19) damages the index of a store in many ways. Nothing
// may come of it but the error that says what to do, or what there was; and
// after a rebuild every path is there.
func TestDamagedIndexes(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	index := filepath.Join(root, "nix/var/terrine/db.bolt")
	var old []byte
	for i := range 60 {
		if i == 30 {
			var err error
			if old, err = os.ReadFile(index); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(t.TempDir(), fmt.Sprintf("f%02d", i))
		if err := os.WriteFile(file, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		add(t, s, file, store.AddOptions{})
	}
	good, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for i := range damagedIndexes {
		d := indexDamage[i%len(indexDamage)]
		bad := old
		if d.do != nil {
			bad = d.do(bytes.Clone(good), rand.New(rand.NewPCG(uint64(i), 5)))
		}
		if err := os.Remove(index); err != nil {
			t.Fatal(err)
		}
		if bad != nil {
			if err := os.WriteFile(index, bad, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if useDamagedIndex(t, root, d.name, len(all), d.do == nil) {
			noticed++
		}
	}
	t.Logf("noticed %d of %d", noticed, damagedIndexes)
}

// useDamagedIndex reads and rebuilds, and reports whether reading failed.
func useDamagedIndex(t *testing.T, root, name string, want int, older bool) bool {
	t.Helper()
	s := openStore(t, root, store.Options{})
	list, err := s.List(t.Context())
	switch {
	case err == nil && len(list) != want && !older:
		t.Errorf("%s: List has %d paths and no error; want %d", name, len(list), want)
	case err != nil && (fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) != "run: terrine store rebuild" || strings.Contains(err.Error(), "goroutine")):
		t.Errorf("%s: List = %v, class %d, hint %q", name, err, fault.CodeOf(err), fault.HintOf(err))
	}
	if err != nil { // nothing that is kept by rows that cannot be read may go
		if c, gcErr := s.GC(t.Context(), store.GCOptions{}); fault.CodeOf(gcErr) != fault.StoreDamaged || len(c.Paths) > 0 {
			t.Errorf("%s: GC = %v, %v; want it refused", name, c, gcErr)
		}
	}
	r, rebuildErr := s.Rebuild(t.Context())
	if rebuildErr != nil || len(r.Valid) != want || len(r.Lost) != 0 {
		t.Fatalf("%s: Rebuild = %v, %v; want %d paths", name, r, rebuildErr, want)
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != want {
		t.Errorf("%s: after the rebuild, List = %d paths, %v", name, len(list), err)
	}
	return err != nil
}

// TestIndexOfAnotherVersion (F20): a newer index is not touched.
func TestIndexOfAnotherVersion(t *testing.T) {
	for version, want := range map[int]string{2: "made by a newer terrine", 0: "made by an older terrine"} {
		root := t.TempDir()
		_, err := durable.OpenDB(t.Context(), filepath.Join(root, "nix/var/terrine"), durable.DBOptions{
			Options: durable.Options{NoSync: true}, Schema: durable.Schema{Name: "terrine store of /nix/store", Version: version},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = openStore(t, root, store.Options{}).List(t.Context())
		if fault.CodeOf(err) != fault.StoreDamaged || !strings.Contains(err.Error(), want) {
			t.Errorf("List with an index of version %d = %v; want class StoreDamaged: %s", version, err, want)
		}
	}
}

// TestRebuildOfManyPaths rebuilds an index of 10,000 paths, each of which
// refers to the one before it.
func TestRebuildOfManyPaths(t *testing.T) {
	const paths, limit = 10_000, time.Minute
	if testing.Short() {
		t.Skip("left out by -short")
	}
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	importChain(t, s, paths)
	want, err := s.List(t.Context())
	if err != nil || len(want) != paths {
		t.Fatalf("List = %d paths, %v", len(want), err)
	}
	if err := os.Truncate(filepath.Join(root, "nix/var/terrine/db.bolt"), 0); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r, err := s.Rebuild(t.Context())
	took := time.Since(began)
	if err != nil || len(r.Valid) != paths || len(r.Lost) != 0 || took > limit {
		t.Errorf("Rebuild = %d paths in %s, %v; want %d in %s at most", len(r.Valid), took, err, paths, limit)
	}
	t.Logf("rebuilt %d paths in %s", paths, took)
	list, err := s.List(t.Context())
	if err != nil || !slices.EqualFunc(list, want, func(a, b *store.Info) bool { return a.Path == b.Path && a.NARHash == b.NARHash }) {
		t.Errorf("after it, List = %d paths, %v; want those before", len(list), err)
	}
	closure, err := s.Closure(t.Context(), want[len(want)-1].Path)
	if err != nil || len(closure) == 0 {
		t.Errorf("Closure = %d paths, %v", len(closure), err)
	}
}
