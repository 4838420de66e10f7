package deb

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store/fault"
	"terrine/tests/need"
)

// parse makes a package of "NAME VERSION" and fields.
func parse(t *testing.T, fields string) *Package {
	t.Helper()
	head, rest, _ := strings.Cut(fields, "\n")
	name, version, _ := strings.Cut(head, " ")
	text := "Package: " + name + "\nVersion: " + version + "\n"
	if !strings.Contains(rest, "Architecture:") {
		text += "Architecture: amd64\n"
	}
	p, err := parseControl([]byte(text + rest))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// draw writes groups as "a+b -> c d", one a line.
func draw(groups []*Group) []string {
	label := func(g *Group) string {
		var names []string
		for _, p := range g.Packages {
			names = append(names, p.Name)
		}
		return strings.Join(names, "+")
	}
	var lines []string
	for _, g := range groups {
		var deps []string
		for _, d := range g.Depends {
			deps = append(deps, label(d))
		}
		lines = append(lines, strings.TrimSpace(label(g)+" -> "+strings.Join(deps, " ")))
	}
	return lines
}

func TestResolve(t *testing.T) {
	cases := []struct {
		name     string
		packages []string
		want     []string
		missing  []string
	}{
		{"a chain", []string{"aa 1\nDepends: bb", "bb 1\nDepends: cc", "cc 1"}, []string{"cc ->", "bb -> cc", "aa -> bb"}, nil},
		{"a diamond", []string{"aa 1\nDepends: bb, cc", "bb 1\nDepends: dd", "cc 1\nDepends: dd", "dd 1"},
			[]string{"dd ->", "bb -> dd", "cc -> dd", "aa -> bb cc"}, nil},
		{"a circle of three, with one hanging on and one below",
			[]string{"aa 1\nDepends: bb", "bb 1\nDepends: cc, xx", "cc 1\nDepends: aa", "dd 1\nDepends: cc, xx", "xx 1"},
			[]string{"xx ->", "aa+bb+cc -> xx", "dd -> xx aa+bb+cc"}, nil},
		{"two circles", []string{"aa 1\nDepends: bb", "bb 1\nDepends: aa, cc", "cc 1\nDepends: dd", "dd 1\nDepends: cc"},
			[]string{"cc+dd ->", "aa+bb -> cc+dd"}, nil},
		{"on itself", []string{"aa 1\nDepends: aa, vv\nProvides: vv"}, []string{"aa ->"}, nil},
		{"the first alternative there is", []string{"aa 1\nDepends: no | cc | bb", "bb 1", "cc 1"}, []string{"cc ->", "aa -> cc", "bb ->"}, nil},
		{"an alternative of the right version", []string{"aa 1\nDepends: bb (>= 2) | cc", "bb 1", "cc 1"}, []string{"cc ->", "aa -> cc", "bb ->"}, nil},
		{"a name before who provides it", []string{"aa 1\nDepends: vv", "bb 1\nProvides: vv", "vv 1"}, []string{"vv ->", "aa -> vv", "bb ->"}, nil},
		{"who provides it if the name is too old", []string{"aa 1\nDepends: vv (>= 2)", "bb 1\nProvides: vv (= 2)", "vv 1"}, []string{"bb ->", "aa -> bb", "vv ->"}, nil},
		{"the first of two that provide it", []string{"aa 1\nDepends: vv", "cc 1\nProvides: vv", "bb 1\nProvides: vv"}, []string{"bb ->", "aa -> bb", "cc ->"}, nil},
		{"a version of what has none", []string{"aa 1\nDepends: vv (>= 1)", "bb 1\nProvides: vv"}, []string{"aa ->", "bb ->"}, []string{"aa needs vv (>= 1)"}},
		{"all that is missing", []string{"aa 1\nPre-Depends: xx\nDepends: yy | zz (<< 3), bb (= 2)", "bb 1\nDepends: ww:any"}, []string{"aa ->", "bb ->"},
			[]string{"aa needs xx", "aa needs yy | zz (<< 3)", "aa needs bb (= 2)", "bb needs ww:any"}},
		{"bounds", []string{"aa 1\nDepends: bb (<= 1), bb (>= 1), bb (= 1), bb (<< 1), bb (>> 1)", "bb 1"}, []string{"bb ->", "aa -> bb"},
			[]string{"aa needs bb (<< 1)", "aa needs bb (>> 1)"}},
		{"architectures", []string{"aa 1\nDepends: bb:any, cc:amd64, dd:native", "bb 1", "cc 1", "dd 1\nArchitecture: all"}, []string{"bb ->", "cc ->", "dd ->", "aa -> bb cc dd"}, nil},
		{"another architecture", []string{"aa 1\nDepends: bb:i386", "bb 1"}, []string{"aa ->", "bb ->"}, []string{"aa needs bb:i386"}},
		{"recommended only", []string{"aa 1\nRecommends: bb\nSuggests: cc", "bb 1"}, []string{"aa ->", "bb ->"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var packages []*Package
			for _, p := range c.packages {
				packages = append(packages, parse(t, p))
			}
			for range 2 {
				groups, missing, err := resolve(packages)
				if err != nil {
					t.Fatal(err)
				}
				var said []string
				for _, m := range missing {
					said = append(said, m.String())
				}
				if diff := cmp.Diff(c.want, draw(groups)); diff != "" {
					t.Errorf("groups (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.missing, said); diff != "" {
					t.Errorf("missing (-want +got):\n%s", diff)
				}
				if err := MissingError(missing); (err == nil) != (len(missing) == 0) || err != nil && !strings.HasSuffix(err.Error(), strings.Join(said, "; ")) {
					t.Errorf("error %v", err)
				}
				slices.Reverse(packages)
			}
		})
	}
}

func TestResolveRefused(t *testing.T) {
	for want, packages := range map[string][]*Package{
		"package aa is there twice":           {parse(t, "aa 1"), parse(t, "aa 2")},
		"package bb is for arm64, and others": {parse(t, "aa 1"), parse(t, "bb 1\nArchitecture: arm64")},
	} {
		if _, _, err := resolve(packages); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

func TestGroupName(t *testing.T) {
	long := strings.Repeat("long-", 24) + "name"
	g := &Group{Packages: []*Package{{Name: "libc6", Version: "1:2.36~rc-9+deb12u1"}, {Name: long, Version: "1"}}}
	if got := g.Name(); got != "libc6-1_2.36_rc-9+deb12u1-and-"+long+"-1" {
		t.Error(got)
	}
	g.Packages = append(g.Packages, &Package{Name: long, Version: "2"})
	if got := g.Name(); got != "libc6-1_2.36_rc-9+deb12u1-and-2-more" {
		t.Error(got)
	}
}

func TestControlRefused(t *testing.T) {
	const good = "Package: aa\nVersion: 1\nArchitecture: all\n"
	for text, want := range map[string]string{
		"":                          "Package",
		"Package: aa\nVersion: 1\n": "Architecture",
		"Package: AA\nVersion: 1\nArchitecture: all\n":                                "Package",
		"Package: ../x\nVersion: 1\nArchitecture: all\n":                              "Package",
		"Package: aa\nVersion: 1/2\nArchitecture: all\n":                              "Version",
		"Package: aa\nVersion: " + strings.Repeat("1", 200) + "\nArchitecture: all\n": "Version",
		good + "Package: bb\n":                                                        "line 4: Package given twice",
		" " + good:                                                                    "line 1 continues nothing",
		good + "\nPackage: bb\n":                                                      "line 5: more than one paragraph",
		good + "nocolon\n":                                                            "line 4",
		good + "a b: c\n":                                                             "line 4",
		good + "X: \xff\n":                                                            "not UTF-8",
		good + "Depends: a b\n":                                                       `"a b" is no package`,
		good + "Depends: aa (>= )\n":                                                  "is no package",
		good + "Depends: aa (~ 1)\n":                                                  "is no package",
		good + "Depends: aa | | bb\n":                                                 `"" is no package`,
		good + "Provides: aa | bb\n":                                                  "want a name",
		good + "Provides: aa (>= 1)\n":                                                "want a name",
		good + "Depends: " + strings.Repeat("aa,", maxClauses+1) + "\n":               "more than",
	} {
		if p, err := parseControl([]byte(text)); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, %v: want %q", text, p, err, want)
		}
	}
	p, err := parseControl([]byte(good + "Depends: aa (>> 1), bb [amd64] <!nocheck> , cc(<1) | dd:any ( = 2 ),\n\n\n"))
	if err != nil || len(p.Depends) != 3 || p.Depends[2].String() != "cc (<= 1) | dd:any (= 2)" {
		t.Errorf("%v, %v", p, err)
	}
}

// TestCompareVersions asks dpkg.
func TestCompareVersions(t *testing.T) {
	need.Programs(t, "dpkg")
	versions := []string{
		"0", "1", "1.0", "1.0-1", "1.0-1+b1", "1.0-1~deb12", "1.0~rc1", "1.0~~", "1.0~", "1.0.1", "1.00", "1.a", "1.1a", "1+", "1.+",
		"0:1.0", "1:0.1", "2:0", "10", "9", "1.0-10", "1.0-9", "2.36-9+deb12u14", "2.36-9+deb12u9", "1.0-0", "1-1-1", "99999999999999999999", "1a", "1Z", "1z",
	}
	for i, a := range versions {
		for _, b := range versions[:i+1] {
			want := 0
			if dpkg(t, a, "lt", b) {
				want = -1
			} else if dpkg(t, a, "gt", b) {
				want = 1
			}
			if got := compareVersions(a, b); sign(got) != want {
				t.Errorf("%s and %s: %d, dpkg says %d", a, b, got, want)
			}
			if got := compareVersions(b, a); sign(got) != -want {
				t.Errorf("%s and %s: %d, dpkg says %d", b, a, got, -want)
			}
		}
	}
}

func dpkg(t *testing.T, a, op, b string) bool {
	t.Helper()
	err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", a, op, b).Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return err == nil
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func FuzzParseControl(f *testing.F) {
	f.Add([]byte("Package: aa\nVersion: 1:1~2-3\nArchitecture: all\nDepends: a1 (>= 1) | b1:any, cc\nProvides: x1 (= 1)\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parseControl(text)
		if err != nil {
			return
		}
		groups, _, err := resolve([]*Package{p})
		if err != nil || len(groups) != 1 {
			t.Fatalf("%v, %v", groups, err)
		}
		for _, c := range p.Depends {
			again, err := parseClauses(c.String())
			if err != nil || len(again) != 1 || again[0].String() != c.String() {
				t.Errorf("%q: %v, %v", c, again, err)
			}
		}
	})
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1:1.0~rc1-1", "1.0-1+b1", "1.0")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if x, y := sign(compareVersions(a, b)), sign(compareVersions(b, a)); x != -y {
			t.Errorf("%q and %q: %d and %d", a, b, x, y)
		}
		if compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0 && compareVersions(a, c) > 0 {
			t.Errorf("%q, %q, %q: not an order", a, b, c)
		}
	})
}
