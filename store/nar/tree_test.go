package nar

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/tests/need"
)

// golden is a NAR that goldens.sh made with the real Nix.
type golden struct {
	name string
	hash digest.Digest
	size int64
}

func goldens(t testing.TB) []golden {
	t.Helper()
	data, err := os.ReadFile("testdata/hashes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		all = append(all, golden{fields[0], digest.Digest(fields[1]), atoi(t, fields[2])})
	}
	if len(all) != 7 {
		t.Fatalf("testdata/hashes.txt has %d rows, want 7", len(all))
	}
	return all
}

func atoi(t testing.TB, s string) (n int64) {
	t.Helper()
	for _, c := range s {
		if c < '0' || c > '9' {
			t.Fatalf("%q is not a number", s)
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// goldenNAR returns one of the .nar files.
func goldenNAR(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".nar")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// makeGoldenTrees makes in dir what goldens.sh dumps.
func makeGoldenTrees(t testing.TB, dir string) {
	t.Helper()
	m := maker{t, dir}
	m.file("file", "hello\n", 0o644)
	m.file("executable", "#!/bin/sh\n", 0o744)
	m.link("symlink", "/no/such/thing")
	m.mkdir("empty")
	m.file("zero", "", 0o644)
	m.file("sparse", "", 0o644)
	m.truncate("sparse", 5<<20)
	m.appendTo("sparse", "end")

	n255 := strings.Repeat("n", 255)
	m.mkdir("odd/empty")
	m.mkdir("odd/a/b/c")
	m.file("odd/a name with blanks ", "blank", 0o644)
	m.file("odd/new\nline", "newline", 0o644)
	m.file("odd/caf\xe9", "latin1", 0o644)
	m.file("odd/caf\u00e9", "nfc", 0o644)
	m.file("odd/cafe\u0301", "nfd", 0o644)
	m.file("odd/\x1b]0;title\a", "escape", 0o644)
	m.file("odd/"+n255, "long", 0o644)
	m.file("odd/a/b/c/eight", "12345678", 0o600)
	m.file("odd/a/b/c/nine", "123456789", 0o444)
	m.file("odd/B", "B sorts before a", 0o644)
	m.file("odd/a-b", "a-b sorts before a/", 0o644)
	m.file("odd/...", ".", 0o644)
	m.file("odd/group-executable", "x", 0o454)
	m.file("odd/setuid", "x", 0o711|os.ModeSetuid)
	m.file("odd/hard1", "linked", 0o644)
	m.check(os.Link(m.at("odd/hard1"), m.at("odd/hard2")))
	m.link("odd/relative", "a/b/c/eight")
	m.link("odd/outside", "../../../../etc/passwd")
	m.link("odd/loop", "loop")
	m.link("odd/long-target", n255+"/"+n255)
	m.file("odd/sparse", "", 0o644)
	m.truncate("odd/sparse", 70000)
}

// maker makes files below a directory.
type maker struct {
	t   testing.TB
	dir string
}

func (m maker) at(name string) string { return m.dir + "/" + name }

func (m maker) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m maker) mkdir(name string) { m.t.Helper(); m.check(os.MkdirAll(m.at(name), 0o755)) }

func (m maker) file(name, contents string, mode os.FileMode) {
	m.t.Helper()
	m.check(os.WriteFile(m.at(name), []byte(contents), 0o600))
	m.check(os.Chmod(m.at(name), mode))
}

func (m maker) link(name, target string) { m.t.Helper(); m.check(os.Symlink(target, m.at(name))) }

func (m maker) truncate(name string, size int64) {
	m.t.Helper()
	m.check(os.Truncate(m.at(name), size))
}

func (m maker) appendTo(name, contents string) {
	m.t.Helper()
	f, err := os.OpenFile(m.at(name), os.O_APPEND|os.O_WRONLY, 0)
	m.check(err)
	_, err = f.WriteString(contents)
	m.check(err)
	m.check(f.Close())
}

// dump returns the NAR of path.
func dump(t testing.TB, path string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Dump(context.Background(), &b, path); err != nil {
		t.Fatalf("Dump(%q): %v", path, err)
	}
	return b.Bytes()
}

// nixDump returns what the installed Nix dumps.
func nixDump(t *testing.T, path string) []byte {
	t.Helper()
	cmd := exec.Command(need.Program(t, "nix-store"), "--dump", path)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nix-store --dump %q: %v", path, err)
	}
	return out
}
