package binarycache

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
)

// TestNarinfoRefused changes a good narinfo.
func TestNarinfoRefused(t *testing.T) {
	good := string(golden(t, "nix", topPath.Digest()+".narinfo"))
	cases := []struct{ name, old, new, want string }{
		{"empty", good, "", "cut off"},
		{"cut off", good, good[:len(good)-1], "cut off"},
		{"a web page", good, "<!DOCTYPE html>\n<html>\n", "no field"},
		{"too long", good, good + strings.Repeat("X: y\n", maxInfo/5), "at most"},
		{"no store path", "StorePath: ", "Other: ", "no StorePath"},
		{"no URL", "URL: ", "Other: ", "no URL"},
		{"no NAR hash", "NarHash: ", "Other: ", "no NarHash"},
		{"no NAR size", "NarSize: ", "Other: ", "no NarSize"},
		{"twice", "NarSize: 440\n", "NarSize: 440\nNarSize: 440\n", "line 8: NarSize given twice"},
		{"no colon", "NarSize: 440\n", "NarSize 440\n", "line 7"},
		{"no space", "NarSize: 440\n", "NarSize:440\n", "line 7"},
		{"another store", "StorePath: /nix/store/", "StorePath: /gnu/store/", "line 1: StorePath"},
		{"traversal", "StorePath: /nix/store/", "StorePath: /nix/store/../", "line 1: StorePath"},
		{"negative size", "NarSize: 440", "NarSize: -440", "line 7: NarSize"},
		{"signed size", "NarSize: 440", "NarSize: +440", "line 7: NarSize"},
		{"no size", "NarSize: 440", "NarSize: 0", "line 7: NarSize"},
		{"huge size", "NarSize: 440", "NarSize: 99999999999999", "line 7: NarSize"},
		{"size with more", "NarSize: 440", "NarSize: 440 ", "line 7: NarSize"},
		{"other hash", "NarHash: sha256:1s7swf4z4lymhizkk02xdjvni5342fqych10gx8nhfjlq1qjq7fz", "NarHash: sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "not a sha256"},
		{"short hash", "FileHash: sha256:1", "FileHash: sha256:", "line 4: FileHash"},
		{"unknown compression", "Compression: xz", "Compression: br", `compression "br" is not supported`},
		{"reference with a directory", "References: ", "References: /nix/store/", "line 8: References"},
		{"empty URL", "URL: nar/", "URL: \nX: ", "line 2: URL: empty"},
		{"URL with a space", "URL: nar/", "URL: nar /", "line 2: URL"},
		{"long URL", "URL: nar/", "URL: " + strings.Repeat("x", maxURL), "at most"},
		{"many signatures", "Sig: ", manySignatures() + "Sig: ", "more than 64"},
		{"bad address", "CA: text:sha256:", "CA: text:", "line 10: CA"},
		{"bad deriver", "Sig: ", "Deriver: ../x\nSig: ", "line 9: Deriver"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("%q is not in the narinfo", c.old)
			}
			n, err := parseNarinfo(store.DefaultDir, []byte(strings.Replace(good, c.old, c.new, 1)))
			if err == nil || fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v: want an error with %q", n, err, c.want)
			}
		})
	}
}

// manySignatures returns one signature more than are allowed, all different.
func manySignatures() string {
	var b strings.Builder
	for i := range maxSignatures + 1 {
		fmt.Fprintf(&b, "Sig: key-%d:%s==\n", i, strings.Repeat("A", 86))
	}
	return b.String()
}

func TestNarinfoTaken(t *testing.T) {
	const least = "StorePath: /nix/store/zvqnii8br982b8181m6nx5zdfk24jd6k-two\nURL: x.nar\n" +
		"NarHash: sha256:02bnhayq85k37lhl3d36qkrnwxa801k6rvfd1nppviv1fjq9d6wn\nNarSize: 120\n"
	n, err := parseNarinfo(store.DefaultDir, []byte(least+"Deriver: unknown-deriver\nReferences:\nSystem: x\nCA: \nCompression: \n"))
	if err != nil {
		t.Fatal(err)
	}
	if n.Compression != "bzip2" || n.FileSize != 0 || n.References != nil || n.Deriver != "" {
		t.Errorf("%+v", n)
	}

	// Forms of signatures that are not ours say nothing of those that are.
	good := string(golden(t, "nix", topPath.Digest()+".narinfo"))
	odd := "FileSize: 0\nSig: \nSig: test-1:\nSig: test-1:u+HQ\nSig: test 1:x\nSig: {\"by\": \"a newer Nix\"}\n"
	n, err = parseNarinfo(store.DefaultDir, []byte(strings.Replace(good, "FileSize: ", odd+"X: ", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if want := goldenInfo(t, topPath).Signatures; n.FileSize != 0 || !slices.Equal(n.Signatures, want) {
		t.Errorf("file size %d, signatures %q; want 0, %q", n.FileSize, n.Signatures, want)
	}
}

func FuzzParseNarinfo(f *testing.F) {
	for _, p := range []store.Path{topPath, depPath, twoPath} {
		f.Add(golden(f, "nix", p.Digest()+".narinfo"))
	}
	f.Add([]byte("StorePath: /nix/store/\nURL:\nSig: :\nCA: fixed:r:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := parseNarinfo(store.DefaultDir, text)
		if err != nil {
			return
		}
		again, err := parseNarinfo(store.DefaultDir, n.format())
		if err != nil {
			t.Fatalf("what was formatted is refused: %v\n%s", err, n.format())
		}
		if diff := cmp.Diff(n, again); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
		_, _ = judge(&n.Info, testKeys(t))
	})
}

func TestKeysRefused(t *testing.T) {
	public, secret := string(golden(t, "test-1.public")), golden(t, "test-1.secret")
	for _, s := range []string{"", "test-1", ":" + public[7:], public[:40], public + "A", "te st:" + public[7:], string(secret)} {
		if k, err := ParsePublicKey(s); fault.CodeOf(err) != fault.Refused {
			t.Errorf("%q: %v, %v", s, k, err)
		}
	}
	swapped := bytes.Replace(secret, []byte("FFyr"), []byte("FFyq"), 1)
	for _, s := range [][]byte{nil, []byte(public), swapped, secret[:50]} {
		k, err := ParseSecretKey(s)
		if fault.CodeOf(err) != fault.Refused {
			t.Errorf("%q: %v, %v", s, k, err)
		}
		if err != nil && strings.Contains(err.Error(), "CujK1d9X") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	if _, err := ParsePublicKey(NixOS); err != nil {
		t.Error(err)
	}
}

// What is read is what `curl --netrc-file FILE http://MACHINE` sends.
func TestNetrc(t *testing.T) {
	const file = `# comment
machine Cache.example.org login me password s3cret
machine other
  login you
  account x
  password p#w # its comment
machine quoted login "me" password "s \"3\" \tcr#t\\"
machine # a word that begins with # begins a comment, also before a value
  hash login #you
  "#me" password # s3cret
` + "p\u00a0w\n" + `macdef init
machine trap login a password b
` + "  \n" + `machine trap login a password b

default login anonymous password guest
`
	logins, err := ParseNetrc(strings.NewReader(file))
	want := []Login{{"cache.example.org", "me", "s3cret"}, {"other", "you", "p#w"}, {"quoted", "me", "s \"3\" \tcr#t\\"},
		{"hash", "#me", "p\u00a0w"}, {"", "anonymous", "guest"}}
	if diff := cmp.Diff(want, logins); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if l, ok := loginFor(logins, "third"); !ok || l.User != "anonymous" {
		t.Errorf("default: %v, %v", l, ok)
	}
	if l, ok := loginFor(logins[:len(logins)-1], "third"); ok {
		t.Errorf("no default: %v", l)
	}
	for name, text := range map[string]string{
		"password first": "password canary\n",
		"no value":       "machine x login\n",
		"comment":        "machine x password #canary\n",
		"quote":          "machine x password \"canary\n",
		"unknown word":   "machine x\nlogin y canary z\n",
		"a long file":    strings.Repeat("default\n", maxNetrc/8+1),
		"a long line":    "machine " + strings.Repeat("x", 100<<10),
	} {
		if l, err := ParseNetrc(strings.NewReader(text)); fault.CodeOf(err) != fault.Refused || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}

func FuzzParseNetrc(f *testing.F) {
	f.Add("machine x login y password z\ndefault login a password b\n")
	f.Add("macdef x\n\n\nmachine\n")
	f.Add("machine \"x\" password \"a\\\"b\\t\" # c\n")
	f.Fuzz(func(t *testing.T, text string) {
		logins, err := ParseNetrc(strings.NewReader(text))
		if err != nil && fault.CodeOf(err) != fault.Refused {
			t.Errorf("error %v has class %d", err, fault.CodeOf(err))
		}
		for _, word := range strings.Fields(text) {
			if len(word) > 20 && err != nil && strings.Contains(err.Error(), word) {
				t.Errorf("error %v shows %q", err, word)
			}
		}
		if l, ok := loginFor(logins, "x"); ok && l.Machine != "x" && l.Machine != "" {
			t.Errorf("the login for x is %+v", l)
		}
	})
}
