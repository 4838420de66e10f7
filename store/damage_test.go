package store_test

import (
	"bytes"
	"fmt"
	"io"
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
}

// olderIndex are files that bbolt finds no fault with, each with a path less at
// least.
var olderIndex = []string{"older index", "index before the last path", "meta pages before the last path"}

// damagedIndexes is how many indexes TestDamagedIndexes damages.
const damagedIndexes = 200

// TestDamagedIndexes (F19) damages the index of a store in many ways. Either
// every transaction says so, with what to do; or the damage has hit what nothing
// uses, and the newest state is there, with every path and every byte. After a
// rebuild it is there in both cases.
func TestDamagedIndexes(t *testing.T) {
	root := t.TempDir()
	good, older := indexHistory(t, root)
	index := filepath.Join(root, "nix/var/terrine/db.bolt")
	all, err := openStore(t, root, store.Options{}).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	noticed := make(map[string]int)
	for i := range damagedIndexes {
		var name string
		var bad []byte
		if kind := i % (len(indexDamage) + len(older)); kind < len(indexDamage) {
			name = indexDamage[kind].name
			bad = indexDamage[kind].do(bytes.Clone(good), rand.New(rand.NewPCG(uint64(i), 5)))
		} else {
			name = olderIndex[kind-len(indexDamage)]
			bad = older[kind-len(indexDamage)]
		}
		if err := os.Remove(index); err != nil {
			t.Fatal(err)
		}
		if bad != nil {
			if err := os.WriteFile(index, bad, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if useDamagedIndex(t, root, name, all) {
			noticed[name]++
		} else if slices.Contains(olderIndex, name) {
			t.Errorf("%s: not noticed", name)
		}
		good = rebuildIndex(t, root, name, all)
	}
	t.Logf("noticed, of %d: %v", damagedIndexes, noticed)
}

// indexHistory makes a store of 60 paths, and returns its index and those of
// olderIndex.
func indexHistory(t *testing.T, root string) (now []byte, older [][]byte) {
	t.Helper()
	s := openStore(t, root, store.Options{})
	var history [][]byte
	for i := range 60 {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("f%02d", i))
		if err := os.WriteFile(file, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		add(t, s, file, store.AddOptions{})
		history = append(history, readIndex(t, root))
	}
	now, before := history[59], history[58]
	metas := bytes.Clone(now)
	copy(metas[:2*os.Getpagesize()], before)
	return now, [][]byte{history[29], before, metas}
}

func readIndex(t *testing.T, root string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "nix/var/terrine/db.bolt"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// useDamagedIndex uses the store, and reports whether that was refused. If it
// was not, the store must have all, and each must have its hash.
func useDamagedIndex(t *testing.T, root, name string, all []*store.Info) (refused bool) {
	t.Helper()
	s := openStore(t, root, store.Options{})
	list, err := s.List(t.Context())
	if err == nil {
		if !samePaths(list, all) {
			t.Errorf("%s: List has %d paths and no error; want the %d that there are", name, len(list), len(all))
		}
		for p, err := range s.Verify(t.Context()) {
			t.Errorf("%s: verify %s: %v", name, p, err)
		}
		return false
	}
	text := err.Error()
	if fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) != "run: terrine store rebuild" ||
		strings.Contains(text, "goroutine") || strings.Contains(text, "panic") {
		t.Errorf("%s: List = %v, class %d, hint %q", name, err, fault.CodeOf(err), fault.HintOf(err))
	}
	// Nothing that is kept by rows that cannot be read may go, and nothing be added to them.
	if c, gcErr := s.GC(t.Context(), store.GCOptions{}); fault.CodeOf(gcErr) != fault.StoreDamaged || len(c.Paths) > 0 {
		t.Errorf("%s: GC = %v, %v; want it refused", name, c, gcErr)
	}
	if _, err := s.Add(t.Context(), "damage_test.go", store.AddOptions{}); fault.CodeOf(err) != fault.StoreDamaged {
		t.Errorf("%s: Add = %v; want it refused", name, err)
	}
	return true
}

// rebuildIndex rebuilds, looks whether all is there, and returns the index.
func rebuildIndex(t *testing.T, root, name string, all []*store.Info) []byte {
	t.Helper()
	s := openStore(t, root, store.Options{})
	if r, err := s.Rebuild(t.Context()); err != nil || len(r.Valid) != len(all) || len(r.Lost) != 0 {
		t.Fatalf("%s: Rebuild = %v, %v; want %d paths", name, r, err, len(all))
	}
	if list, err := s.List(t.Context()); err != nil || !samePaths(list, all) {
		t.Errorf("%s: after the rebuild, List = %d paths, %v", name, len(list), err)
	}
	return readIndex(t, root)
}

func samePaths(a, b []*store.Info) bool {
	return slices.EqualFunc(a, b, func(x, y *store.Info) bool { return x.Path == y.Path && x.NARHash == y.NARHash })
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

// TestRebuildOfManyPaths (F55) rebuilds an index of 10,000 paths, each of which
// refers to the one before it, and asks for closures.
func TestRebuildOfManyPaths(t *testing.T) {
	const paths, limit = 10_000, time.Minute
	if testing.Short() {
		t.Skip("left out by -short")
	}
	root := t.TempDir()
	s := openStore(t, root, store.Options{NoSync: true})
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
	if err != nil || !samePaths(list, want) {
		t.Errorf("after it, List = %d paths, %v; want those before", len(list), err)
	}
	manyReferences(t, s, list)
}

// manyReferences adds a path that refers to all of list, which is a chain, and
// asks for what there is, in ten seconds each, and exports it.
func manyReferences(t *testing.T, s *store.Store, list []*store.Info) {
	t.Helper()
	var all []store.Path
	for _, info := range list {
		all = append(all, info.Path)
	}
	timed := func(limit time.Duration, what string, want int, do func() (int, error)) {
		t.Helper()
		began := time.Now()
		if n, err := do(); err != nil || n != want {
			t.Errorf("%s = %d, %v; want %d", what, n, err, want)
		}
		if took := time.Since(began); took > limit {
			t.Errorf("%s took %s, want at most %s", what, took, limit)
		}
	}
	star := add(t, s, tree(t, map[string]string{"f": "star"}), store.AddOptions{Name: "star", References: all}).Path
	timed(10*time.Second, "Closure", len(all)+1, func() (int, error) {
		closure, err := s.Closure(t.Context(), star)
		return len(closure), err
	})
	timed(10*time.Second, "Detail", len(all), func() (int, error) {
		d, err := s.Detail(t.Context(), star)
		if err != nil {
			return 0, err
		}
		return len(d.References), nil
	})
	timed(10*time.Second, "Hold", len(all)+1, func() (int, error) {
		held, err := s.Hold(t.Context(), star)
		return len(held), err
	})
	timed(time.Minute, "Export", 0, func() (int, error) { return 0, s.Export(t.Context(), io.Discard, append(all, star)...) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	timed(10*time.Second, "GC", len(all)+1, func() (int, error) {
		c, err := s.GC(t.Context(), store.GCOptions{DryRun: true})
		if err != nil {
			return 0, err
		}
		return len(c.Paths), nil
	})
}
