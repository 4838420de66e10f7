package layering

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// image makes a graph, or a listing, of lines as graphOf takes them, all of
// the typical size.
func image(t *testing.T, lines ...string) *Graph {
	t.Helper()
	var sized []string
	for _, line := range lines {
		name, refs, _ := strings.Cut(line, " ")
		sized = append(sized, name+" 30000000 "+refs)
	}
	return graphOf(t, sized...)
}

func listing(t *testing.T, lines ...string) *Graph {
	t.Helper()
	var nodes []Node
	for _, line := range lines {
		nodes = append(nodes, Node{testPath(line), 30_000_000, []string{"/not/looked/at"}})
	}
	g, err := NewListing(nodes)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Rates by hand: at the typical size an observation weighs 1, so the default
// is (500 × 0.03 + updates) / (500 + builds), and a rate is
// (updates + 20 × default) / (builds + 20).
func TestLearnByHand(t *testing.T) {
	rates, err := Learn([]*Graph{
		image(t, "libc-1 ", "app libc-1", "tool-3 libc-1", "tz-7 "),
		image(t, "libc-2 ", "app@2 libc-2", "tool-3@2 libc-2", "tz-7 "), // libc is updated, and carries the others along
		image(t, "libc-2 ", "app@3 libc-2", "tool-3@2 libc-2", "tz-7 "), // app is updated: its references are the same
	})
	if err != nil {
		t.Fatal(err)
	}
	const standard = (15 + 2.0) / (500 + 8)
	if math.Abs(rates.Default-standard) > 1e-12 {
		t.Errorf("the default is %v, want %v", rates.Default, standard)
	}
	for pkg, updates := range map[string]int{"libc": 1, "app": 1, "tool": 0, "tz": 0} {
		r := rates.Packages[pkg]
		if want := (float64(updates) + 20*standard) / 22; r.Builds != 2 || r.Updates != updates || math.Abs(r.Rate-want) > 1e-12 {
			t.Errorf("%s: learned %+v, want %d updates in 2 builds, rate %v", pkg, r, updates, want)
		}
	}
	if len(rates.Packages) != 4 {
		t.Errorf("learned of %v", rates.Packages)
	}
}

// What is an update, from one image to the next.
func TestFates(t *testing.T) {
	base := []string{"libc-1 ", "ssl-3.0.1 libc-1", "ssl-3.0.1-dev ssl-3.0.1", "app ssl-3.0.1"}
	for _, c := range []struct {
		name          string
		before, after *Graph
		pkg           string
		want          fate
	}{
		{"the same", image(t, base...), image(t, base...), "app", unchanged},
		{"an output more", image(t, base...), image(t, append(base, "ssl-3.0.1-bin libc-1")...), "ssl", unchanged},
		{"an output less", image(t, append(base, "ssl-3.0.1-bin libc-1")...), image(t, base...), "ssl", unchanged},
		{"another version as well", image(t, base...), image(t, append(base, "ssl-1.1 libc-1")...), "ssl", newVersion},
		{"a version less", image(t, append(base, "ssl-1.1 libc-1")...), image(t, base...), "ssl", unchanged},
		{"the output changed", image(t, base...), image(t, "libc-1 ", "ssl-3.0.1 libc-1", "ssl-3.0.1-dev@2 ssl-3.0.1", "app ssl-3.0.1"), "ssl", newHash},
		{"a reference changed", image(t, base...), image(t, "libc-1@2 ", "ssl-3.0.1@2 libc-1@2", "ssl-3.0.1-dev ", "app ssl-3.0.1@2"), "ssl", carried},
		{"a version without references", listing(t, "libc-1"), listing(t, "libc-2"), "libc", newVersion},
		{"a hash without references", listing(t, "libc-1"), listing(t, "libc-1@2"), "libc", carried},
		{"after a listing", listing(t, "libc-1", "app"), image(t, "libc-1 ", "app@2 libc-1"), "app", newHash},
	} {
		if got := compareViews(viewOf(c.before), viewOf(c.after))[c.pkg]; got != c.want {
			t.Errorf("%s: %s has fate %d, want %d", c.name, c.pkg, got, c.want)
		}
	}
}

// Names are taken apart as builtins.parseDrvName does; the results are those of
// Nix 2.8:
//
//	nix-instantiate --eval --strict --json --expr 'map builtins.parseDrvName [ "glibc-2.37-8" … ]'
func TestParseDrvName(t *testing.T) {
	for name, want := range map[string][2]string{
		"glibc-2.37-8":               {"glibc", "2.37-8"},
		"openssl-3.0.11-dev":         {"openssl", "3.0.11-dev"},
		"app":                        {"app", ""},
		"a-b-c":                      {"a-b-c", ""},
		"foo-unstable-2024-01-01":    {"foo-unstable", "2024-01-01"},
		"nix-wrapper-":               {"nix-wrapper-", ""},
		"python3.11-yaml-6.0":        {"python3.11-yaml", "6.0"},
		"a--1":                       {"a", "-1"},
		"x-_y":                       {"x", "_y"},
		"perl5.36.0-URI-5.17":        {"perl5.36.0-URI", "5.17"},
		"xorg-server-1.20.14":        {"xorg-server", "1.20.14"},
		"source-highlight-3.1.9-bin": {"source-highlight", "3.1.9-bin"},
	} {
		if pkg, version := splitName(name); pkg != want[0] || version != want[1] {
			t.Errorf("%q: %q and %q, want %q", name, pkg, version, want)
		}
	}
}

func TestLearnRefuses(t *testing.T) {
	a, b := image(t, "a-1 "), image(t, "b-1 ")
	for want, images := range map[string][]*Graph{
		"at least two images":                      {a},
		"images 2 and 3 have no package in common": {a, a, b},
	} {
		if _, err := Learn(images); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func TestParseRatesRefuses(t *testing.T) {
	const good = `{"version": 1, "default": 0.03, "packages": {}}`
	if _, err := ParseRates([]byte(good + "\n")); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		good + "}": "more follows", good + "]": "more follows", good + good: "more follows", "": "EOF",
		`{"version": 2}`:                                                         "version 2",
		`{"version": 1, "default": 1.5}`:                                         "default is 1.5",
		`{"version": 1, "default": 0, "x": 1}`:                                   `unknown field "x"`,
		`{"version": 1, "packages": {"a": {"rate": 2}}}`:                         "package a: rate 2",
		`{"version": 1, "packages": {"b": {"builds": -1}, "a": {"updates": 1}}}`: "package a: rate 0, 1 updates in 0 builds",
	} {
		if _, err := ParseRates([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseRates(f *testing.F) {
	for _, seed := range []string{
		`{"version": 1, "default": 0.03, "packages": {"a": {"rate": 0.5, "builds": 2, "updates": 1}}}`,
		`{"version": 1, "default": 0, "packages": null}`, `{"version": 2}`, `{}`, `[`, `{"version": 1, "default": 1e400}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRates(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRates(text)
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", text, err)
		}
		if second, _ := json.Marshal(again); string(second) != string(text) {
			t.Errorf("%s becomes %s", text, second)
		}
		g := mustGraph(t, []Node{{Path: testPath("a-1"), Size: 5}, {Path: testPath("b"), Size: 7}})
		if _, err := Expect(g, []Group{{Paths: g.paths}}, r); err != nil {
			t.Error(err)
		}
	})
}
