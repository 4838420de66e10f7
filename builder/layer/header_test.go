package layer

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHeaderEqualsArchiveTar(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	owner := &Owner{UID: 1000, GID: 100, Uname: "user", Gname: "users", Mtime: 1}
	for range 2000 {
		h := randomHeader(rng, owner)
		want := new(bytes.Buffer)
		w := tar.NewWriter(want)
		err := w.WriteHeader(&tar.Header{Typeflag: byte(h.kind), Name: h.name, Linkname: h.link, Size: h.size,
			Mode: int64(h.mode), Uid: owner.UID, Gid: owner.GID, Uname: owner.Uname, Gname: owner.Gname,
			ModTime: time.Unix(owner.Mtime, 0), Format: tar.FormatUSTAR})
		if err != nil {
			continue // not to be said in ustar: TestHeaderRoundTrip has those
		}
		if got := appendHeader(nil, h); !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("header of %+v\n got %q\nwant %q", h, got, want)
		}
	}
}

func randomHeader(rng *rand.Rand, owner *Owner) *header {
	name := "nix/store/" + randomName(rng)
	switch rng.IntN(3) {
	case 0:
		return &header{name: name + "/", kind: kindDir, mode: 0o555, owner: owner}
	case 1:
		return &header{name: name, link: randomName(rng), kind: kindSymlink, mode: 0o777, owner: owner}
	}
	return &header{name: name, kind: kindFile, mode: 0o444, size: rng.Int64N(1 << 33), owner: owner}
}

func randomName(rng *rand.Rand) string {
	parts := make([]string, 1+rng.IntN(5))
	for i := range parts {
		parts[i] = strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(90))
	}
	return strings.Join(parts, "/")
}

func TestHeaderRoundTrip(t *testing.T) {
	long := strings.Repeat("d", 200)
	big := &Owner{UID: 1 << 22, GID: 1 << 30, Uname: strings.Repeat("u", 40), Gname: strings.Repeat("g", 33), Mtime: -7}
	plain := &Owner{Uname: "root", Gname: "root", Mtime: 1}
	for _, h := range []*header{
		{name: "nix/store/a b", kind: kindFile, mode: 0o444, owner: plain},
		{name: "nix/store/new\nline", kind: kindFile, mode: 0o444, owner: plain},
		{name: "nix/store/\xff\xfe", kind: kindFile, mode: 0o555, owner: plain},
		{name: "nix/store/" + long + "\xff", kind: kindFile, mode: 0o555, owner: plain},
		{name: "nix/store/" + long + "/" + long + "/", kind: kindDir, mode: 0o555, owner: plain},
		{name: "nix/store/é" + long, kind: kindSymlink, link: long + "\xff", mode: 0o777, owner: plain},
		{name: "nix/store/big", kind: kindFile, size: 1 << 33, mode: 0o444, owner: plain},
		{name: "nix/store/owner", kind: kindFile, size: 5, mode: 0o444, owner: big},
		{name: "nix/store/late", kind: kindFile, mode: 0o444, owner: &Owner{Mtime: 1 << 33}},
		{name: strings.Repeat("n", 99) + "/", kind: kindDir, mode: 0o555, owner: plain},
		{name: strings.Repeat("n", 100) + "/", kind: kindDir, mode: 0o555, owner: plain},
		{name: strings.Repeat("p", 155) + "/" + strings.Repeat("n", 100), kind: kindFile, mode: 0o444, owner: plain},
		{name: strings.Repeat("p", 156) + "/" + strings.Repeat("n", 100), kind: kindFile, mode: 0o444, owner: plain},
	} {
		checkRoundTrip(t, h)
	}
}

func checkRoundTrip(t *testing.T, h *header) {
	t.Helper()
	raw := appendHeader(nil, h)
	if int64(len(raw)) != headerSize(h) {
		t.Errorf("%.40q: %d bytes, headerSize says %d", h.name, len(raw), headerSize(h))
	}
	r := tar.NewReader(io.MultiReader(bytes.NewReader(raw), zeroReader{}))
	got, err := r.Next()
	if err != nil {
		t.Errorf("%.40q: read back: %v", h.name, err)
		return
	}
	if got.Name != h.name || got.Linkname != h.link || got.Size != h.size || got.Typeflag != byte(h.kind) ||
		got.Mode != int64(h.mode) || got.Uid != h.owner.UID || got.Gid != h.owner.GID ||
		got.Uname != h.owner.Uname || got.Gname != h.owner.Gname || got.ModTime.Unix() != h.owner.Mtime {
		t.Errorf("%+v came back as %+v", h, got)
	}
}

// TestWhatUstarCannotHold: a PAX record says what does not fit the ustar block, and
// nothing else; a name is cut there, and a number is 0.
func TestWhatUstarCannotHold(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct {
		header header
		owner  Owner
		want   string // keys of PAX records
	}{
		{owner: Owner{UID: maxOctal7, GID: maxOctal7, Mtime: maxOctal11, Uname: text(31), Gname: text(31)}},
		{
			owner:  Owner{UID: maxOctal7, GID: maxOctal7, Mtime: maxOctal11, Uname: text(31), Gname: text(31)},
			header: header{name: text(101), size: maxOctal11, link: text(100)}, want: "path",
		},
		{owner: Owner{UID: maxOctal7 + 2}, want: "uid"},
		{owner: Owner{GID: maxOctal7 + 2}, want: "gid"},
		{owner: Owner{Mtime: maxOctal11 + 2}, want: "mtime"},
		{owner: Owner{Mtime: -1}, want: "mtime"},
		{owner: Owner{Uname: text(32)}, want: "uname"},
		{owner: Owner{Gname: text(32)}, want: "gname"},
		{header: header{size: maxOctal11}},
		{header: header{size: maxOctal11 + 2}, want: "size"},
		{header: header{name: text(100)}},
		{header: header{name: text(101)}, want: "path"},
		{header: header{name: text(99) + "\xff"}},
		{header: header{name: text(100) + "é"}, want: "path"},
		{header: header{name: text(100) + "\xff"}, want: "hdrcharset path"},
		{header: header{kind: kindSymlink, link: text(100)}},
		{header: header{kind: kindSymlink, link: text(101)}, want: "linkpath"},
		{header: header{kind: kindSymlink, link: "\xff"}},
		{header: header{kind: kindSymlink, link: "\xff", name: text(101)}, want: "path"},
		{header: header{kind: kindSymlink, link: text(101), name: "\xff"}, want: "linkpath"},
		{header: header{kind: kindSymlink, link: text(100) + "\xff"}, want: "hdrcharset linkpath"},
	} {
		h := test.header
		h.name, h.kind, h.owner = cmp.Or(h.name, "name"), cmp.Or(h.kind, kindFile), &test.owner
		raw := appendHeader(nil, &h)
		got, err := tar.NewReader(io.MultiReader(bytes.NewReader(raw), zeroReader{})).Next()
		if err != nil {
			t.Fatal(err)
		}
		if keys := strings.Join(slices.Sorted(maps.Keys(got.PAXRecords)), " "); keys != test.want {
			t.Errorf("%+v of %+v: PAX records of %q, want %q", h, test.owner, keys, test.want)
		}
		octal := func(key string, digits int, n int64) string {
			if key == test.want {
				n = 0
			}
			return fmt.Sprintf("%0*o\x00", digits, n)
		}
		o := h.owner
		want := fmt.Sprintf("%-100.100s0000000\x00", h.name) + octal("uid", 7, int64(o.UID)) + octal("gid", 7, int64(o.GID)) + octal("size", 11, h.size) + octal("mtime", 11, o.Mtime)
		if block := raw[len(raw)-blockSize:]; string(block[:148]) != strings.ReplaceAll(want, " ", "\x00") {
			t.Errorf("%+v of %+v: the block begins with %q", h, test.owner, block[:148])
		}
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestPAXRecordCountsItself(t *testing.T) {
	for n := range 2000 {
		rec := appendPAXRecord(nil, "path", strings.Repeat("x", n))
		digits := bytes.IndexByte(rec, ' ')
		var size int
		for _, c := range rec[:digits] {
			size = size*10 + int(c-'0')
		}
		if size != len(rec) {
			t.Fatalf("a record of %d bytes says %d", len(rec), size)
		}
	}
}

// FuzzHeader writes a header and reads it back with archive/tar.
func FuzzHeader(f *testing.F) {
	f.Add("nix/store/x", "", int64(5), 0, "root", int64(1))
	f.Add("nix/store/"+strings.Repeat("é", 200), "target", int64(0), 1<<22, strings.Repeat("g", 40), int64(-1))
	f.Fuzz(func(t *testing.T, name, link string, size int64, uid int, group string, mtime int64) {
		h := &header{name: name, kind: kindFile, mode: 0o444, size: size, owner: &Owner{UID: uid, Gname: group, Mtime: mtime}}
		if link != "" {
			h.kind, h.link, h.size = kindSymlink, link, 0
		}
		bad := name == "" || strings.ContainsAny(name+link, "\x00") || strings.HasSuffix(name, "/") || size < 0
		if bad || h.owner.Check() != nil {
			return
		}
		if _, err := tar.NewReader(bytes.NewReader(appendHeader(nil, h))).Next(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%+v: %v", h, err)
		}
		checkRoundTrip(t, h)
	})
}
