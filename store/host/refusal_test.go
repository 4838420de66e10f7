package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/host"
	"terrine/tests/need"
)

const (
	pathA = "/nix/store/00000000000000000000000000000000-a"
	pathB = "/nix/store/11111111111111111111111111111111-b"
	hash  = "sha256:0j3hjzn7hpkwq9h5f2fsy25rjhn0q6bk77gj6zi4k11ixrrwbjgg"
)

// element is an element of a references graph.
func element(path string, refs ...string) string {
	quoted := make([]string, len(refs))
	for i, r := range refs {
		quoted[i] = fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf(`{"path":%q,"narHash":%q,"narSize":120,"references":[%s]}`, path, hash, strings.Join(quoted, ","))
}

func TestParseGraphRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, key, want string }{
		{"nothing", "", "", "line 1: unexpected EOF"},
		{"empty array", "[]", "", "no paths in it"},
		{"no JSON", "[\n\n x]", "", "line 3: invalid character 'x'"},
		{"cut off", "[\n" + element(pathA)[:60], "", "line 2: unexpected EOF"},
		{"more behind it", "[" + element(pathA) + "]\n[]", "", "line 2: want the end"},
		{"a number", "1", "", "line 1: want an array"},
		{"an object without key", `{"closure":[]}`, "", `"closure" is no path: want an array of paths`},
		{"an object of paths that name others", "{" + strconv.Quote(pathB) + ":" + element(pathA) + ",\n" + strconv.Quote(pathA) + ":" + element(pathA) + "}", "", "line 2: " + pathA + " is listed a second time"},
		{"far down", "[" + many(3000) + element(numbered(1500)) + "]", "", "line 3001: " + numbered(1500) + " is listed a second time (first at line 1501)"},
		{"key not there", `{"closure":[],"x":{"y":[1]}}`, "graph", `no key "graph"`},
		{"key twice", `{"c":[],` + "\n" + `"c":[]}`, "c", `line 2: duplicate object member name "c"`},
		{"array for a key", `[]`, "c", "want an object"},
		{"element no object", "[\n1]", "", "line 2: element 0: want an object"},
		{"no path", `[{"narHash":"` + hash + `","narSize":1,"references":[]}]`, "", `no field "path"`},
		{"no hash", "[" + strings.Replace(element(pathA), "narHash", "hash", 1) + "]", "", `no field "narHash"`},
		{"no references, unlike the element before", "[" + element(pathA) + ",\n" + strings.Replace(element(pathB), "references", "refs", 1) + "]", "", pathB + `: no field "references"`},
		{"bad path", "[" + element("/nix/store/foo") + "]", "", `line 1: path: parse store path "/nix/store/foo"`},
		{"bad hash", "[\n" + strings.Replace(element(pathA), hash, "sha256:zz", 1) + "]", "", "line 2: " + pathA + ": NAR hash:"},
		{"sha1", "[" + strings.Replace(element(pathA), hash, "sha1:0000000000000000000000000000000000000000", 1) + "]", "", "want sha256"},
		{"size negative", "[" + strings.Replace(element(pathA), "120", "-1", 1) + "]", "", `line 1: field "narSize"`},
		{"size zero", "[" + strings.Replace(element(pathA), "120", "0", 1) + "]", "", "NAR size"},
		{"size too large", "[" + strings.Replace(element(pathA), "120", "9223372036854775808", 1) + "]", "", "narSize"},
		{"size a text", "[" + strings.Replace(element(pathA), "120", `"120"`, 1) + "]", "", "narSize"},
		{"path a number", `[{"path":1}]`, "", `field "path": want a string`},
		{"field twice", "[\n" + strings.Replace(element(pathA), "{", `{"path":"x",`, 1) + "]", "", `line 2: duplicate object member name "path"`},
		{"reference no path", "[" + element(pathA, "x") + "]", "", pathA + ": references:"},
		{"reference a number", `[{"references":[1]}]`, "", `field "references": want a string`},
		{"nested", `{"x":` + "\n" + strings.Repeat("[", 20_000), "c", "line 2: exceeded max depth"},
		{"missing reference", "[\n" + element(pathA, pathB) + "]", "", "line 2: " + pathA + " refers to " + pathB + ", which is not listed"},
		{"path twice", "[" + element(pathA) + ",\n" + element(pathA) + "]", "", "line 2: " + pathA + " is listed a second time (first at line 1)"},
		{"two store directories", "[" + element(pathA) + "," + element("/gnu/store/11111111111111111111111111111111-b") + "]", "", "another store directory"},
	} {
		_, err := host.ParseGraph(strings.NewReader(test.text), test.key)
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: ParseGraph = %v (class %d); want Refused with %q", test.name, err, fault.CodeOf(err), test.want)
		}
	}
}

func numbered(n int) string { return fmt.Sprintf("/nix/store/%032d-a", n) }

// many returns elements for the first n of numbered, with a comma and a newline behind each.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s,\n", element(numbered(i)))
	}
	return b.String()
}

// TestParseGraphOfLaterNix: from 2.19 on `nix path-info --json` has paths as names.
func TestParseGraphOfLaterNix(t *testing.T) {
	text := fmt.Sprintf(`{%q:{"narHash":%q,"narSize":120,"references":[%q]},%q:%s}`, pathA, hash, pathB, pathB, element(pathB))
	for key, text := range map[string]string{"": text, "paths": `{"paths":` + text + "}"} {
		infos, err := host.ParseGraph(strings.NewReader(text), key)
		if err != nil || len(infos) != 2 || infos[0].Path != pathA || infos[1].Path != pathB || !slices.Equal(infos[0].References, []store.Path{pathB}) {
			t.Errorf("key %q: ParseGraph = %v, %v; want both paths", key, infos, err)
		}
	}
}

func TestParseGraphTakesWhatItDoesNotKnow(t *testing.T) {
	extra := strings.Replace(element(pathA, pathA, pathB, pathB), "{",
		`{"ultimate":true,"x":{"y":[1,{"z":null}]},"deriver":null,"ca":"fixed:r:x","signatures":["b:2","a:1"],`, 1)
	infos, err := host.ParseGraph(strings.NewReader("[\n"+extra+",\n\n"+element(pathB)+"]\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.ParseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	want := []*store.Info{
		{Path: pathA, NARHash: b, NARSize: 120, References: []store.Path{pathA, pathB}, CA: "fixed:r:x", Signatures: []string{"a:1", "b:2"}},
		{Path: pathB, NARHash: b, NARSize: 120},
	}
	if diff := cmp.Diff(want, infos); diff != "" {
		t.Errorf("ParseGraph (-want +got):\n%s", diff)
	}
}

func TestHintNamesTheKeys(t *testing.T) {
	_, err := host.ParseGraph(strings.NewReader(`{"one":[],"two":1}`), "three")
	if hint := fault.HintOf(err); !strings.Contains(hint, "one, two") {
		t.Errorf("hint %q; want the keys", hint)
	}
	_, err = host.ParseGraph(strings.NewReader(`{"one":[]}`), "")
	if hint := fault.HintOf(err); !strings.Contains(hint, "FILE#KEY") {
		t.Errorf("hint %q; want how to name a key", hint)
	}
}

// lines is registration text.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

func TestParseRegistrationRefuses(t *testing.T) {
	base16 := strings.Repeat("0a", 32)
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", "no paths in it"},
		{"bad path", lines("x", base16, "1", "", "0"), `line 1: path: parse store path "x"`},
		{"cut off", lines(pathA, base16), "line 3: NAR size: unexpected EOF"},
		{"bad hash", lines(pathA, "0a", "1", "", "0"), "line 1: " + pathA + ": NAR hash"},
		{"no hash", lines(pathA, "", "0"), "line 2: NAR hash"},
		{"bad size", lines(pathA, base16, "one", "", "0"), `line 3: NAR size: "one"`},
		{"negative size", lines(pathA, base16, "-1", "", "0"), "line 3: NAR size"},
		{"bad deriver", lines(pathA, base16, "1", "x", "0"), "deriver"},
		{"bad count", lines(pathA, base16, "1", "", "x"), "line 5: number of references"},
		{"count too large", lines(pathA, base16, "1", "", "99999999"), "line 5: number of references"},
		{"too few references", lines(pathA, base16, "1", "", "2", pathA), "line 7: references: unexpected EOF"},
		{"missing reference", lines(pathA, base16, "1", "", "1", pathB), "line 1: " + pathA + " refers to " + pathB},
		{"path twice", lines(pathA, base16, "1", "", "0", pathA, base16, "1", "", "0"), "line 6: " + pathA + " is listed a second time"},
		{"long line", strings.Repeat("x", 5000), "line 1: longer than 4096 bytes"},
	} {
		_, err := host.ParseRegistration(strings.NewReader(test.text))
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: ParseRegistration = %v (class %d); want Refused with %q", test.name, err, fault.CodeOf(err), test.want)
		}
	}
}

// TestRegistrationOfClosureInfo: its jq writes hashes with their algorithm and
// leaves derivers empty.
func TestRegistrationOfClosureInfo(t *testing.T) {
	text := lines(pathB, hash, "120", "", "1", pathA, pathA, hash, "96", "", "0")
	infos, err := host.ParseRegistration(strings.NewReader(text))
	if err != nil || len(infos) != 2 || infos[0].Path != pathA || infos[1].NARSize != 120 {
		t.Errorf("ParseRegistration = %v, %v; want two paths", infos, err)
	}
}

func TestReadErrorsKeepTheirClass(t *testing.T) {
	broken := errors.New("broken disk")
	for name, parse := range map[string]func() error{
		"graph":        func() error { _, err := host.ParseGraph(iotest.ErrReader(broken), ""); return err },
		"registration": func() error { _, err := host.ParseRegistration(iotest.ErrReader(broken)); return err },
	} {
		if err := parse(); !errors.Is(err, broken) || fault.CodeOf(err) == fault.Refused || !strings.HasSuffix(err.Error(), "line 1: broken disk") {
			t.Errorf("%s: %v (class %d); want the error of the reader, not Refused", name, err, fault.CodeOf(err))
		}
	}
}

func TestOpenTellsFormatsApart(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	reg := lines(pathA, hash, "120", "", "0")
	graph := "\n  [" + element(pathA) + "]"
	put("info/registration", reg)
	for _, name := range []string{
		put("registration", reg), put("graph", graph), put("attrs", `{"c":`+graph+`}`) + "#c",
		put("odd#name", graph), put("odd#attrs", `{"c":`+graph+`}`) + "#c", filepath.Join(dir, "info"),
	} {
		if closure, err := host.Open(t.Context(), name); err != nil || closure.Len() != 1 || closure.Path(0) != pathA {
			t.Errorf("Open(%q) = %v, %v; want %s", name, closure, err, pathA)
		}
	}
	for name, want := range map[string]string{
		put("empty", " \n"):               "nothing in it",
		put("else", "hello"):              `begins with 'h'`,
		put("keyed", reg) + "#k":          `no key "k"`,
		filepath.Join(dir, "none"):        "no such file",
		filepath.Join(dir, "none") + "#k": "no such file",
	} {
		_, err := host.Open(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("Open(%q) = %v; want %q and the file", name, err, want)
		}
	}
}

func TestQueryEndsWithItsContext(t *testing.T) {
	fakeNix(t, "exit 1", "echo "+pathA+"; exec sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := host.Query(ctx, []store.Path{pathA}); !errors.Is(err, context.Canceled) {
		t.Errorf("Query = %v; want context.Canceled", err)
	}
}

// TestQueryOfAClosureEqualsItsGraph asks the real nix for a closure in every
// way there is.
func TestQueryOfAClosureEqualsItsGraph(t *testing.T) {
	need.HostNix(t)
	t.Setenv("NIX_CONFIG", "sandbox = false\nbuild-users-group =\nsubstituters =\n")
	build := exec.Command("nix-build", "--no-out-link", "testdata/closure.nix", "--argstr", "salt", filepath.Base(t.TempDir()))
	var messages bytes.Buffer
	build.Stderr = &messages
	out, err := build.Output()
	if err != nil {
		t.Fatalf("nix-build: %v\n%s", err, &messages)
	}
	outputs := strings.Fields(string(out))
	root, err := store.ParsePath(outputs[0])
	if err != nil {
		t.Fatal(err)
	}
	query, err := host.Query(t.Context(), []store.Path{root})
	if err != nil {
		t.Fatal(err)
	}
	graph, err := host.Open(t.Context(), outputs[1]+"#graph")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(withoutDerivers(query), graph.Infos()); diff != "" || len(query) != 3 {
		t.Errorf("Query and graph differ, or %d paths are not 3 (-query +graph):\n%s", len(query), diff)
	}
}
