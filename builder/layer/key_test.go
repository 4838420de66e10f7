package layer

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/store"
)

func keyObject(path, nar string) store.Object {
	return store.Object{Info: store.Info{Path: store.Path(path), NARHash: digest.FromString(nar)}, Dir: "/here"}
}

// keyOf is the encoding of keys as docs/formats.md has it.
func keyOf(fields ...string) digest.Digest {
	var b []byte
	for _, f := range fields {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(f))), f...)
	}
	sum := sha256.Sum256(b)
	return digest.NewDigestFromBytes(digest.SHA256, sum[:])
}

// TestKeysAreAsDocumented makes the keys of a layer and of a segment from the
// documentation. The format is a field: one that is changed comes with another.
func TestKeysAreAsDocumented(t *testing.T) {
	policy := Policy{Owner: Owner{UID: 1000, GID: 100, Uname: "me", Gname: "us", Mtime: 77}}
	a, b := keyObject("/nix/store/a", "a"), keyObject("/nix/store/b", "b")
	for _, dedup := range []bool{false, true} {
		with := ""
		if policy.ContentDedup = dedup; dedup {
			with = " with content-dedup"
		}
		owner := []string{"1", "1000", "100", "me", "us", "77"}
		ofA, ofB := []string{"/nix/store/a", a.NARHash.String()}, []string{"/nix/store/b", b.NARHash.String()}
		segment := slices.Concat([]string{"terrine", "segment" + with}, owner, ofA)
		layer := slices.Concat([]string{"terrine", "layer" + with}, owner, ofA, ofB)
		if got, want := SegmentKey(policy, a), keyOf(segment...); got != want {
			t.Errorf("the key of a segment%s is %s, as documented it is %s", with, got, want)
		}
		if got, want := Key(policy, store.ObjectList{a, b}), keyOf(layer...); got != want {
			t.Errorf("the key of a layer%s is %s, as documented it is %s", with, got, want)
		}
		objects := store.ObjectList{a, b}
		for i := range 200 { // some times what is hashed at once
			o := keyObject(fmt.Sprintf("/nix/store/%d", i), "x")
			objects, layer = append(objects, o), append(layer, string(o.Path), o.NARHash.String())
		}
		if got, want := Key(policy, objects), keyOf(layer...); got != want {
			t.Errorf("the key of a large layer%s is %s, as documented it is %s", with, got, want)
		}
	}
}

// TestKeysSayEverything changes one thing at a time: each must change both keys.
func TestKeysSayEverything(t *testing.T) {
	seen := map[digest.Digest]string{}
	see := func(what string, k digest.Digest) {
		t.Helper()
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[k] = what
	}
	a, b := keyObject("/nix/store/a", "a"), keyObject("/nix/store/b", "b")
	check := func(what string, p Policy, first store.Object) {
		t.Helper()
		see("a segment with "+what, SegmentKey(p, first))
		see("a layer with "+what, Key(p, store.ObjectList{first, b}))
	}
	check("nothing", defaultPolicy(), a)
	check("another path", defaultPolicy(), keyObject("/nix/store/x", "a"))
	check("another NAR hash", defaultPolicy(), keyObject("/nix/store/a", "x"))
	for what, change := range map[string]func(*Policy){
		"a uid":         func(p *Policy) { p.Owner.UID++ },
		"a gid":         func(p *Policy) { p.Owner.GID++ },
		"a uname":       func(p *Policy) { p.Owner.Uname = "user" },
		"a gname":       func(p *Policy) { p.Owner.Gname = "user" },
		"a shift":       func(p *Policy) { p.Owner.Uname, p.Owner.Gname = "rootr", "oot" },
		"an mtime":      func(p *Policy) { p.Owner.Mtime++ },
		"content-dedup": func(p *Policy) { p.ContentDedup = true },
	} {
		p := defaultPolicy()
		change(&p)
		check(what, p, a)
	}
	see("a layer in another order", Key(defaultPolicy(), store.ObjectList{b, a}))
	see("a layer of one object", Key(defaultPolicy(), store.ObjectList{a}))
	see("a layer of none", Key(defaultPolicy(), store.ObjectList(nil)))
}

func TestKeyIgnoresThePlaceOnDisk(t *testing.T) {
	here, there := keyObject("/nix/store/a", "a"), keyObject("/nix/store/a", "a")
	there.Dir, there.NARSize = "/there", 5
	if Key(defaultPolicy(), store.ObjectList{here}) != Key(defaultPolicy(), store.ObjectList{there}) {
		t.Error("the key depends on where an object lies")
	}
}
