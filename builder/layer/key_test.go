package layer

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/store"
)

// TestKeySaysEverything changes one thing at a time: each must change the key.
func TestKeySaysEverything(t *testing.T) {
	object := func(path, nar string) store.Object {
		return store.Object{Info: store.Info{Path: store.Path(path), NARHash: digest.FromString(nar)}, Dir: "/here"}
	}
	a, b := object("/nix/store/a", "a"), object("/nix/store/b", "b")
	owner := DefaultPolicy()
	seen := map[digest.Digest]string{}
	check := func(what string, p Policy, objects ...store.Object) {
		k := Key(p, objects)
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[k] = what
	}
	check("a b", owner, a, b)
	check("b a", owner, b, a)
	check("a", owner, a)
	check("nothing", owner)
	check("other NAR hash", owner, object("/nix/store/a", "x"), b)
	check("other path", owner, object("/nix/store/x", "a"), b)
	for name, o := range map[string]Owner{
		"uid":   {UID: 1, Uname: "root", Gname: "root", Mtime: 1},
		"gid":   {GID: 1, Uname: "root", Gname: "root", Mtime: 1},
		"uname": {Uname: "user", Gname: "root", Mtime: 1},
		"gname": {Uname: "root", Gname: "user", Mtime: 1},
		"shift": {Uname: "rootr", Gname: "oot", Mtime: 1},
		"mtime": {Uname: "root", Gname: "root", Mtime: 2},
	} {
		check(name, Policy{Owner: o}, a, b)
	}
	check("content-dedup", Policy{Owner: defaultOwner(), ContentDedup: true}, a, b)
	if k := SegmentKey(owner, a); seen[k] != "" {
		t.Errorf("the key of a segment is that of the layer %q", seen[k])
	}
}

func TestKeyIgnoresThePlaceOnDisk(t *testing.T) {
	a := []store.Object{{Info: store.Info{Path: "/nix/store/a", NARHash: digest.FromString("a")}, Dir: "/here"}}
	b := []store.Object{{Info: store.Info{Path: "/nix/store/a", NARHash: digest.FromString("a"), NARSize: 5}, Dir: "/there"}}
	if Key(DefaultPolicy(), a) != Key(DefaultPolicy(), b) {
		t.Error("the key depends on where an object lies")
	}
}

// TestKeysAreForEver holds the keys of format 1: a change of the encoding must
// come with a new Format.
func TestKeysAreForEver(t *testing.T) {
	if Format != 1 {
		t.Fatal("make a new golden key for the new format")
	}
	o := store.Object{Info: store.Info{Path: "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-a", NARHash: digest.FromString("a")}}
	const want = "sha256:991800b180dd3a1e25c8016154812c62c7942f7f757f4e1596dab7e9153b35c7"
	if got := Key(DefaultPolicy(), []store.Object{o}); got != want {
		t.Errorf("key %s, want %s", got, want)
	}
}
