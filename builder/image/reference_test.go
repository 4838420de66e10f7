package image

import (
	"strings"
	"testing"
)

// The full forms are those of docker's reference.ParseNormalizedNamed.
func TestParseName(t *testing.T) {
	for _, test := range []struct{ in, want, full string }{
		{"hello", "hello", "docker.io/library/hello:t"},
		{"Hello", "hello", "docker.io/library/hello:t"},
		{"library/hello", "library/hello", "docker.io/library/hello:t"},
		{"x/y", "x/y", "docker.io/x/y:t"},
		{"registry/x/y", "registry/x/y", "docker.io/registry/x/y:t"},
		{"docker.io/hello", "docker.io/hello", "docker.io/library/hello:t"},
		{"index.docker.io/hello", "index.docker.io/hello", "docker.io/library/hello:t"},
		{"index.docker.io/x/hello", "index.docker.io/x/hello", "docker.io/x/hello:t"},
		{"ghcr.io/Me/App", "ghcr.io/me/app", "ghcr.io/me/app:t"},
		{"localhost/x", "localhost/x", "localhost/x:t"},
		{"localhost:5000/x", "localhost:5000/x", "localhost:5000/x:t"},
		{"[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x:t"},
		{"a__b/c.d/e--f", "a__b/c.d/e--f", "docker.io/a__b/c.d/e--f:t"},
		{strings.Repeat("a", 237), strings.Repeat("a", 237), "docker.io/library/" + strings.Repeat("a", 237) + ":t"},
		{strings.Repeat("0", 63), strings.Repeat("0", 63), "docker.io/library/" + strings.Repeat("0", 63) + ":t"},
	} {
		got, err := ParseName(test.in)
		if err != nil || got != test.want {
			t.Errorf("ParseName(%q) = %q, %v; want %q, <nil>", test.in, got, err, test.want)
			continue
		}
		if full := (Reference{got, "t"}).Full(); full != test.full {
			t.Errorf("Full of %q = %q, want %q", test.in, full, test.full)
		}
		if s := (Reference{got, "t"}).String(); s != test.want+":t" {
			t.Errorf("String of %q = %q", test.in, s)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, in := range []string{
		"", "/", "/a", "a/", "a//b", "a:1", "x.io/a:1", "a@sha256:00", ".a", "a.", "a..b", "a___b", "-a", "a_-b", "a b", "a\n", "ä",
		"exa_mple.io:1/a", "x.io:port/a", "http://x.io/a", "x.io/", "..", strings.Repeat("a", 238), strings.Repeat("0", 64),
	} {
		if got, err := ParseName(in); err == nil {
			t.Errorf("ParseName(%q) = %q, want an error", in, got)
		}
	}
}

func TestCheckTag(t *testing.T) {
	for tag, ok := range map[string]bool{
		"latest": true, "1.0": true, "_x": true, "A-b.c_d": true, strings.Repeat("a", 128): true,
		"": false, ".a": false, "-a": false, "a/b": false, "a:b": false, "a\n": false, "ä": false, strings.Repeat("a", 129): false,
	} {
		if err := CheckTag(tag); (err == nil) != ok {
			t.Errorf("CheckTag(%q) = %v, want ok %v", tag, err, ok)
		}
	}
}
