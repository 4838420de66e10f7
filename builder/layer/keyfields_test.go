package layer

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/store"
)

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
// documentation, and again with one field changed, the format among them.
func TestKeysAreAsDocumented(t *testing.T) {
	policy := Policy{Owner: Owner{UID: 1000, GID: 100, Uname: "me", Gname: "us", Mtime: 77}}
	a := store.Object{Info: store.Info{Path: "/nix/store/a", NARHash: digest.FromString("a")}}
	b := store.Object{Info: store.Info{Path: "/nix/store/b", NARHash: digest.FromString("b")}}
	for what, key := range map[string]digest.Digest{"segment": SegmentKey(policy, a), "layer": Key(policy, []store.Object{a, b})} {
		fields := []string{"terrine", what, "1", "1000", "100", "me", "us", "77", "/nix/store/a", a.NARHash.String()}
		if what == "layer" {
			fields = append(fields, "/nix/store/b", b.NARHash.String())
		}
		if want := keyOf(fields...); key != want {
			t.Errorf("the key of a %s is %s, as documented it is %s", what, key, want)
		}
		for i := range fields {
			changed := append([]string{}, fields...)
			changed[i] += "2"
			if keyOf(changed...) == key {
				t.Errorf("field %d of the key of a %s does not show", i, what)
			}
		}
	}
	dedup := policy
	dedup.ContentDedup = true
	if want := keyOf("terrine", "segment with content-dedup", "1", "1000", "100", "me", "us", "77", "/nix/store/a", a.NARHash.String()); SegmentKey(dedup, a) != want {
		t.Errorf("the key of a segment with content-dedup is %s, as documented it is %s", SegmentKey(dedup, a), want)
	}
}

// TestSegmentKeySaysEverything changes one thing of a segment at a time.
func TestSegmentKeySaysEverything(t *testing.T) {
	object := func(path, nar string) store.Object {
		return store.Object{Info: store.Info{Path: store.Path(path), NARHash: digest.FromString(nar)}}
	}
	seen := map[digest.Digest]string{}
	check := func(what string, p Policy, o store.Object) {
		t.Helper()
		k := SegmentKey(p, o)
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[k] = what
	}
	a := object("/nix/store/a", "a")
	check("nothing", DefaultPolicy(), a)
	check("path", DefaultPolicy(), object("/nix/store/b", "a"))
	check("NAR hash", DefaultPolicy(), object("/nix/store/a", "b"))
	for what, change := range map[string]func(*Policy){
		"uid":           func(p *Policy) { p.Owner.UID++ },
		"gid":           func(p *Policy) { p.Owner.GID++ },
		"uname":         func(p *Policy) { p.Owner.Uname += "x" },
		"gname":         func(p *Policy) { p.Owner.Gname += "x" },
		"mtime":         func(p *Policy) { p.Owner.Mtime++ },
		"content-dedup": func(p *Policy) { p.ContentDedup = true },
	} {
		p := DefaultPolicy()
		change(&p)
		check(what, p, a)
	}
}
