package memo

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/store"
)

func testClosure() *Closure {
	a := store.Path("/nix/store/" + strings.Repeat("0", 32) + "-a")
	b := store.Path("/nix/store/" + strings.Repeat("1", 32) + "-b-1.2")
	return &Closure{
		Infos: []*store.Info{
			{Path: a, NARHash: digest.FromString("a"), NARSize: 1 << 40, References: []store.Path{a, b}, Deriver: a + ".drv"},
			{Path: b, NARHash: digest.FromString("b"), NARSize: 120, CA: "fixed:r:sha256:0", Signatures: []string{"k:1", "l:2"}},
		},
		Stamps: []Stamp{{1, 2, -3}, {Device: 1 << 63, Inode: 1<<64 - 1, Changed: 1 << 62}},
	}
}

func TestClosureComesBackAsItWas(t *testing.T) {
	m, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	key, want := digest.FromString("key"), testClosure()
	if got := m.Closure(key); got != nil {
		t.Errorf("an empty memo knows a closure: %v", got)
	}
	if err := m.KeepClosure(key, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, m.Closure(key)); diff != "" {
		t.Errorf("another closure came back (-want +got):\n%s", diff)
	}
	if got := m.Closure(digest.FromString("another")); got != nil {
		t.Errorf("found under another key: %v", got)
	}
}

// TestDecodeClosureTakesAllOrNothing cuts the encoding of a closure at every length,
// and gives others that say what cannot be.
func TestDecodeClosureTakesAllOrNothing(t *testing.T) {
	whole := testClosure().encode()
	if _, err := decodeClosure(whole); err != nil {
		t.Fatal(err)
	}
	wrong := map[string][]byte{"more than that": append(bytes.Clone(whole), 0)}
	for i := range whole {
		wrong[fmt.Sprintf("the first %d bytes", i)] = whole[:i]
	}
	for what, change := range map[string]func(*Closure){
		"no path": func(c *Closure) { c.Infos[0].Path = "/nix/store/x" },
		"no hash": func(c *Closure) { c.Infos[0].NARHash = "sha256:0" },
	} {
		c := testClosure()
		change(c)
		wrong[what] = c.encode()
	}
	beyond := bytes.Clone(whole)
	at := bytes.Index(beyond, []byte{2, 0, 1}) // that there are two references, and to what
	beyond[at+2] = 2
	wrong["a reference beyond the last"] = beyond
	for what, b := range wrong {
		if c, err := decodeClosure(b); err == nil {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

// FuzzDecodeClosure gives it what is no closure: an error or a closure that is
// encoded to one that is decoded to the same.
func FuzzDecodeClosure(f *testing.F) {
	f.Add(testClosure().encode())
	f.Add([]byte{0})
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeClosure(b)
		if err != nil {
			return
		}
		again, err := decodeClosure(c.encode())
		seen := map[store.Path]bool{}
		for _, info := range c.Infos {
			if seen[info.Path] {
				return // a reference to one of two of a name may come back as one to the other
			}
			seen[info.Path] = true
		}
		if diff := cmp.Diff(c, again); err != nil || diff != "" {
			t.Errorf("another closure came back (%v):\n%s", err, diff)
		}
	})
}
