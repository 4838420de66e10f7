package store

import (
	"strings"
	"testing"
)

const digestA = "00bgd045z0d4icpbc2yyz4gx48ak44la"

func TestParsePath(t *testing.T) {
	good := []string{
		"/nix/store/" + digestA + "-net-tools-1.60_p20170221182432",
		"/nix/store/" + digestA + "-a",
		"/nix/store/" + digestA + "-" + strings.Repeat("n", 211),
		"/gnu/other/store/" + digestA + "-a+b?c=d_e.f",
	}
	for _, s := range good {
		p, err := ParsePath(s)
		if err != nil {
			t.Errorf("ParsePath(%q): %v", s, err)
			continue
		}
		if got := string(p.Dir()) + "/" + p.Digest() + "-" + p.Name(); got != s {
			t.Errorf("parts of %q join to %q", s, got)
		}
	}
	bad := map[string]string{
		"":                                                           "absolute",
		"nix/store/" + digestA + "-a":                                "absolute",
		"/nix/store/" + digestA:                                      "too short",
		"/nix/store/" + digestA + "-":                                "too short",
		"/nix/store/" + digestA + "Xapp":                             "want a dash",
		"/nix/store/" + digestA + "-.a":                              "begins with a dot",
		"/nix/store/" + digestA + "-fünf":                            "character 'ü' is not allowed",
		"/nix/store/" + digestA + "-a b":                             "not allowed",
		"/nix/store/" + digestA + "-a\n":                             "not allowed",
		"/nix//store/" + digestA + "-a":                              "not a clean path",
		"/nix/../store/" + digestA + "-a":                            "not a clean path",
		"/" + digestA + "-a":                                         "absolute path",
		"/nix/store/" + digestA + "-" + strings.Repeat("n", 212):     "at most 211",
		"/nix/store/e0bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60": "not base-32",
	}
	for s, want := range bad {
		p, err := ParsePath(s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePath(%q) = %q, %v; want an error with %q", s, p, err, want)
		}
	}
}

func TestDirParsePathRefusesNeighbours(t *testing.T) {
	for _, s := range []string{"/nix/storeX/" + digestA + "-a", "/nix/store" + digestA + "-a", "/nix/store/" + digestA + "-a/bin"} {
		if p, err := DefaultDir.ParsePath(s); err == nil {
			t.Errorf("ParsePath(%q) = %q, want an error", s, p)
		}
	}
}

func TestSplitPath(t *testing.T) {
	p, rest, err := DefaultDir.SplitPath("/nix/store/" + digestA + "-a/bin/sh")
	if err != nil || p.Name() != "a" || rest != "/bin/sh" {
		t.Errorf("SplitPath = %q, %q, %v", p, rest, err)
	}
	p, rest, err = DefaultDir.SplitPath("/nix/store/" + digestA + "-a")
	if err != nil || p.Name() != "a" || rest != "" {
		t.Errorf("SplitPath = %q, %q, %v", p, rest, err)
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("/nix/store/" + digestA + "-net-tools")
	f.Add("/a/b/" + digestA + "-.")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err != nil {
			return
		}
		if again, err := p.Dir().Join(p.Base()); err != nil || again != p || string(p) != s {
			t.Errorf("%q parses to %q, whose parts parse to %q, %v", s, p, again, err)
		}
	})
}
