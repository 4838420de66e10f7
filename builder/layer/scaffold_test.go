package layer

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"terrine/store"
)

// TestDecodeScaffoldTakesAllOrNothing decodes what there may be at the limits, cuts it at
// every length, and gives what cannot be.
func TestDecodeScaffoldTakesAllOrNothing(t *testing.T) {
	object := keyObject("/nix/store/"+testDigest+"-limits", "x")
	encode := func(records ...record) []byte {
		s := &Scaffold{}
		var b []byte
		for _, r := range records {
			b = appendRecord(b, &r)
			if r.tag != tagUp {
				s.add(&entry{record: r, path: []byte(object.Path.Base() + "/" + r.name)}, "nix/store/", &Owner{})
			}
		}
		s.records = string(b)
		return s.Encode()
	}
	dir, up := record{tag: tagDir}, record{tag: tagUp}
	whole := encode(dir, record{tag: tagFile, name: "a", size: maxBytes - 1<<20, mtime: math.MinInt64}, record{tag: tagExec, name: "b", mtime: math.MaxInt64},
		record{tag: tagDir, name: "d"}, record{tag: tagSymlink, name: "s", link: "target"}, up, record{tag: tagLink, name: "t", link: "a"}, up)
	s, err := DecodeScaffold(whole, object, Policy{})
	if err != nil || !bytes.Equal(s.Encode(), whole) {
		t.Fatalf("%+v (%v)", s, err)
	}
	wrong := map[string][]byte{
		"more than that":       append(bytes.Clone(whole), byte(tagUp)),
		"a file too large":     encode(dir, record{tag: tagFile, name: "a", size: maxBytes + 1}, up),
		"too large together":   encode(dir, record{tag: tagFile, name: "a", size: maxBytes / 2}, record{tag: tagFile, name: "b", size: maxBytes / 2}, up),
		"a path for a name":    encode(dir, record{tag: tagFile, name: "a/b"}, up),
		"a path from the top":  encode(dir, record{tag: tagFile, name: "/b"}, up),
		"no name":              encode(dir, record{tag: tagFile}, up),
		"a name of the object": encode(record{tag: tagFile, name: "a"}),
		"two objects":          encode(record{tag: tagFile}, record{tag: tagFile, name: "a"}),
		"an unknown tag":       encode(dir, record{tag: 99, name: "a"}, up),
		"no end":               encode(dir),
		"a number too large":   bytes.Replace(whole, []byte{255, 1}, []byte{255, 2}, 1), // the last byte of a time
		"another format":       append([]byte{scaffoldFormat + 1}, whole[1:]...),
	}
	for _, b := range [][]byte{whole, encode(record{tag: tagFile, size: 500, mtime: 500}), encode(record{tag: tagSymlink, link: "target"})} {
		for i := range b {
			wrong[fmt.Sprintf("the first %d of %d bytes", i, len(b))] = b[:i]
		}
	}
	for what, b := range wrong {
		if s, err := DecodeScaffold(b, object, Policy{}); err == nil {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

// FuzzDecodeScaffold gives damaged scaffolds, which a cache could hold, to the
// decoder. One that it takes says how long its segment is, and its parts add up
// to that.
func FuzzDecodeScaffold(f *testing.F) {
	var records []byte
	for _, r := range []record{
		{tag: tagDir}, {tag: tagFile, name: "a", size: 5}, {tag: tagDir, name: "d"}, {tag: tagExec, name: "x", size: 1 << 21, mtime: -3},
		{tag: tagUp}, {tag: tagSymlink, name: "s", link: "target"}, {tag: tagLink, name: "t", link: "base/a"}, {tag: tagUp},
	} {
		records = appendRecord(records, &r)
	}
	s := &Scaffold{Entries: 6, Content: 5 + 1<<21, records: string(records)}
	f.Add(s.Encode())
	f.Add([]byte{scaffoldFormat, 0, 0, 0})
	f.Add([]byte{})
	p, err := store.DefaultDir.Join(testDigest + "-fuzz")
	if err != nil {
		f.Fatal(err)
	}
	object := store.Object{Info: store.Info{Path: p}, Dir: "/nowhere"}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeScaffold(b, object, defaultPolicy())
		if err != nil {
			return
		}
		l := New(defaultPolicy(), store.ObjectList{object}, []*Scaffold{s})
		if l.Size > 1<<40 {
			return // the parts would be too many to count
		}
		total := int64(0)
		next := l.tasks(0)
		for task, ok := next(); ok; task, ok = next() {
			if task.part.size < 1 || task.part.size > partSize || task.offset != total {
				t.Fatalf("a part of %d bytes at %d, after %d bytes", task.part.size, task.offset, total)
			}
			total += int64(task.part.size)
		}
		if total != l.Size {
			t.Errorf("the parts have %d bytes, the layer says %d", total, l.Size)
		}
	})
}

// TestTarSize: what is said of an entry's size before there is a header is what the
// header takes, around the lengths at which names need prefixes and PAX records.
func TestTarSize(t *testing.T) {
	for n := 1; n < 300; n++ {
		flat, deep := strings.Repeat("n", n), strings.Repeat("abcde/", n/6)+"z"
		for _, path := range []string{flat, deep, "d/" + flat} {
			for _, r := range []record{
				{tag: tagDir}, {tag: tagFile, size: 700}, {tag: tagExec, size: maxOctal11 + 1},
				{tag: tagSymlink, link: flat}, {tag: tagLink, link: deep},
			} {
				e := entry{record: r, path: []byte(path)}
				for _, owner := range []*Owner{{}, {UID: maxOctal7 + 1}} {
					h := e.header("nix/store/", owner)
					want := int64(len(appendHeader(nil, &h))) + h.size + padding(h.size)
					if got := e.tarSize("nix/store/", owner); got != want {
						t.Errorf("tag %d, path %q, link %q, uid %d: %d bytes, want %d", r.tag, path, r.link, owner.UID, got, want)
					}
				}
			}
		}
	}
}
