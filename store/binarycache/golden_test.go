package binarycache

import (
	"context"
	"crypto/ed25519"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
)

// Paths of the cache in testdata/nix; see testdata/README.
const (
	topPath store.Path = "/nix/store/61z2a4rsjmi3vw7jg9lxq6y79d7vs4r6-top.drv"
	depPath store.Path = "/nix/store/n179qs7qqq9ws0mslml7i2pakwn69xm7-dep"
	twoPath store.Path = "/nix/store/zvqnii8br982b8181m6nx5zdfk24jd6k-two"
)

func golden(t testing.TB, elem ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func goldenInfo(t testing.TB, p store.Path) *Narinfo {
	t.Helper()
	n, err := parseNarinfo(store.DefaultDir, golden(t, "nix", p.Digest()+".narinfo"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func testKeys(t testing.TB) []PublicKey {
	t.Helper()
	k, err := ParsePublicKey(string(golden(t, "test-1.public")))
	if err != nil {
		t.Fatal(err)
	}
	return []PublicKey{k}
}

func fileURL(t testing.TB, dir string) string {
	t.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return "file://" + abs
}

func newStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir(), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestNarinfoOfNix reads what Nix wrote and writes it again.
func TestNarinfoOfNix(t *testing.T) {
	for _, p := range []store.Path{topPath, depPath, twoPath} {
		n := goldenInfo(t, p)
		if n.Path != p {
			t.Errorf("narinfo of %s: %s", p, n.Path)
		}
		if diff := cmp.Diff(string(golden(t, "nix", p.Digest()+".narinfo")), string(n.format())); diff != "" {
			t.Errorf("%s (-nix +ours):\n%s", p, diff)
		}
	}
}

// TestSignaturesOfNix checks what Nix signed, and signs it again: ed25519 has one
// signature for a text.
func TestSignaturesOfNix(t *testing.T) {
	secret, err := ParseSecretKey(golden(t, "test-1.secret"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublicKey(string(golden(t, "test-1.public")))
	if err != nil || public.Name != secret.Name || !public.key.Equal(secret.key.Public()) {
		t.Errorf("public half %s:%x, %v", public.Name, public.key, err)
	}
	for _, p := range []store.Path{topPath, depPath} {
		n := goldenInfo(t, p)
		if got := secret.sign(&n.Info); got != n.Signatures[0] {
			t.Errorf("%s: signature %s, Nix made %s", p, got, n.Signatures[0])
		}
		n.CA = ""
		if content, err := judge(&n.Info, testKeys(t)); err != nil || content != nil {
			t.Errorf("%s: %v, %v", p, content, err)
		}
	}
}

// TestJudge changes everything that a signature is of.
func TestJudge(t *testing.T) {
	stranger := PublicKey{"test-1", make(ed25519.PublicKey, ed25519.PublicKeySize)}
	other := testKeys(t)[0]
	other.Name = "test-2"
	cases := []struct {
		name   string
		path   store.Path
		change func(n *Narinfo)
		keys   []PublicKey
		want   string // of the error; "" for none
	}{
		{"signed", topPath, func(n *Narinfo) { n.CA = "" }, testKeys(t), ""},
		{"by one of two", topPath, func(n *Narinfo) { n.CA = "" }, append([]PublicKey{stranger}, testKeys(t)...), ""},
		{"addressed by its text", topPath, func(n *Narinfo) { n.Signatures = nil }, nil, ""},
		{"addressed by its NAR", twoPath, func(n *Narinfo) {}, nil, ""},
		{"no key", topPath, func(n *Narinfo) { n.CA = "" }, nil, "no trusted key has signed it, only test-1"},
		{"another key", topPath, func(n *Narinfo) { n.CA = "" }, []PublicKey{stranger}, "its signature by the key test-1 is wrong"},
		{"a key of another name", topPath, func(n *Narinfo) { n.CA = "" }, []PublicKey{other}, "no trusted key has signed it"},
		{"not signed", topPath, func(n *Narinfo) { n.CA, n.Signatures = "", nil }, testKeys(t), "it is not signed"},
		{"other path", topPath, func(n *Narinfo) { n.CA, n.Path = "", twoPath }, testKeys(t), "is wrong"},
		{"other hash", topPath, func(n *Narinfo) { n.CA, n.NARHash = "", goldenInfo(t, twoPath).NARHash }, testKeys(t), "is wrong"},
		{"other size", topPath, func(n *Narinfo) { n.CA = ""; n.NARSize++ }, testKeys(t), "is wrong"},
		{"other references", topPath, func(n *Narinfo) { n.CA = ""; n.References = nil }, testKeys(t), "is wrong"},
		{"a text with other references", topPath, func(n *Narinfo) { n.References = nil }, nil, "no trusted key"},
		{"a source with a reference", twoPath, func(n *Narinfo) { n.References = []store.Path{depPath} }, nil, "not signed"},
		{"a source that refers to itself", twoPath, func(n *Narinfo) { n.References = []store.Path{twoPath} }, nil, "not signed"},
		{"the address of another", twoPath, func(n *Narinfo) { n.CA = goldenInfo(t, depPath).CA }, nil, "not signed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			n := goldenInfo(t, c.path)
			c.change(n)
			_, err := judge(&n.Info, c.keys)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.CodeOf(err) != fault.Integrity {
				t.Errorf("error %v of class %d, want %q", err, fault.CodeOf(err), c.want)
			}
		})
	}
}

// TestFetchFromNix copies a closure out of the directory that Nix wrote.
func TestFetchFromNix(t *testing.T) {
	ctx := t.Context()
	c, err := Open(ctx, fileURL(t, "testdata/nix"), Options{Keys: testKeys(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := newStore(t)
	infos, err := c.Fetch(ctx, s, topPath, twoPath)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != 3 {
		t.Errorf("%d paths copied, want 3", len(infos))
	}
	got, err := s.Info(ctx, topPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&goldenInfo(t, topPath).Info, got); diff != "" {
		t.Errorf("in the store (-cache +store):\n%s", diff)
	}
	wellKept(t, s, 3)
	if infos, err = c.Fetch(ctx, s, topPath, twoPath); err != nil || len(infos) != 0 {
		t.Errorf("again: %d paths copied, %v", len(infos), err)
	}
}

// wellKept tests that a store has n paths and none is damaged.
func wellKept(t *testing.T, s *store.Store, n int) {
	t.Helper()
	list, err := s.List(t.Context())
	if err != nil || len(list) != n {
		t.Errorf("the store has %d paths, %v: want %d", len(list), err, n)
	}
	for p, err := range s.Verify(t.Context()) {
		t.Errorf("%s is damaged: %v", p, err)
	}
}

// TestNotThere asks for paths and caches that are not there.
func TestNotThere(t *testing.T) {
	ctx := context.Background()
	for location, code := range map[string]fault.Code{
		fileURL(t, "testdata/none"):             fault.Failed,
		fileURL(t, "testdata/nix/nar"):          fault.Refused,
		"file:testdata/nix":                     fault.Usage,
		"file://elsewhere/x":                    fault.Usage,
		"ftp://127.0.0.1/":                      fault.Usage,
		"testdata/nix":                          fault.Usage,
		"http:///x":                             fault.Usage,
		"http://127.0.0.1/?x=1":                 fault.Usage,
		"http://user:canary@127.0.0.1/#x":       fault.Usage,
		"http://user:canary@[::1/":              fault.Usage,
		fileURL(t, "testdata/nix") + "?trusted": fault.Usage,
	} {
		_, err := Open(ctx, location, Options{})
		if fault.CodeOf(err) != code || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v (class %d, want %d)", location, err, fault.CodeOf(err), code)
		}
	}
	c, err := Open(ctx, fileURL(t, "testdata/nix"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Fetch(ctx, newStore(t), "/nix/store/iklqgq59xf47wn4hkk97q5rcf0szsnwr-none")
	if err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("a path that is not there: %v", err)
	}
	r := c.NAR(ctx, goldenInfo(t, topPath))
	defer r.Close()
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("a text, which is trusted by its contents, without a key: %v", err)
	}
}
