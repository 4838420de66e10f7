package tests

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
)

// nixCache has the real nix write a binary cache of the closure of a path, and
// returns its directory and the key that has signed it.
func nixCache(t *testing.T, d *desk, top string) (dir, key string) {
	t.Helper()
	secret, public := d.Path("secret"), d.Path("public")
	engines.Nix(t, "nix-store", "--generate-binary-cache-key", "desk-1", secret, public)
	dir = d.Path("binary")
	engines.Nix(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--to", "file://"+dir+"?secret-key="+secret, top)
	text, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	return dir, strings.TrimSpace(string(text))
}

// spoil damages the objects of the desk's store, each in its own way.
func (d *desk) spoil(paths []string) {
	d.t.Helper()
	for i, p := range paths {
		object := d.inStore(p)
		file := object
		if info, err := os.Stat(object); err == nil && info.IsDir() {
			engines.Run(d.t, d.shell(`chmod -R u+w "$1"`, object))
			file = strings.TrimSpace(engines.Run(d.t, d.shell(`find "$1" -type f | sort | head -n 1`, object)))
		}
		switch {
		case i%3 == 0 && file != "": // another byte, and the same length
			engines.Run(d.t, d.shell(`chmod u+w "$1" && printf '\001' | dd of="$1" bs=1 conv=notrunc status=none`, file))
		case i%3 == 1 && file != "":
			engines.Run(d.t, d.shell(`chmod u+w "$1" && : >"$1"`, file))
		default:
			engines.Run(d.t, d.shell(`rm -r "$1"`, object))
		}
	}
}

// damaged runs a command that must find that paths are damaged, and returns what
// it says on stderr.
func (d *desk) damaged(paths []string, args ...string) string {
	d.t.Helper()
	r := engines.Try(d.t, d.Command(args...))
	if r.Code != lab.ExitStoreDamaged {
		d.t.Errorf("%q: exit code %d, want %d\n%s", args, r.Code, lab.ExitStoreDamaged, r.Stderr)
	}
	for _, p := range paths {
		if !strings.Contains(r.Stdout, p+": ") {
			d.t.Errorf("%q does not print %s: %q", args, p, r.Stdout)
		}
	}
	return r.Stderr
}

// shell returns a line of sh on one argument.
func (d *desk) shell(line, arg string) *exec.Cmd {
	return exec.CommandContext(d.t.Context(), "/bin/sh", "-euc", line, "sh", arg)
}

// TestRepairFromCaches damages a store and has it repaired from a binary cache
// that the real nix has written, as a directory and over HTTP.
func TestRepairFromCaches(t *testing.T) {
	d := newDesk(t)
	top := fixtures.Build(t, "hello")[0]
	dir, key := nixCache(t, d, top)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	paths := strings.Fields(d.Run("store", "copy", "-q", "--from", "file://"+dir, "--trusted-public-key", key, "--root", "hello", top))
	if want := engines.Closure(t, top); len(paths) != len(want) || len(paths) < 3 {
		t.Fatalf("copied %q, want all of %q", paths, want)
	}
	for _, from := range []string{"file://" + dir, server.URL} {
		d.spoil(paths)
		d.damaged(paths, "store", "verify")
		// Without the key no output of a derivation is taken.
		said := d.damaged([]string{top}, "store", "verify", "--repair", "--from", from)
		if !strings.Contains(said, "no trusted key has signed it, only desk-1") {
			t.Errorf("repair without the key says %q", said)
		}
		d.damaged([]string{top}, "store", "verify")
		r := engines.Try(t, d.Command("store", "verify", "--repair", "--from", from, "--trusted-public-key", key))
		if r.Code != 0 || !strings.Contains(r.Stderr, "repaired "+top) || r.Stdout != "" {
			t.Errorf("repair from %s: exit code %d\n%s%s", from, r.Code, r.Stdout, r.Stderr)
		}
		d.Run("store", "verify")
		engines.CheckNARs(t, d.Path("data", "terrine"), paths)
	}
	// What is damaged in the cache too stays as it is, and is named.
	nars, err := filepath.Glob(filepath.Join(dir, "nar", "*"))
	if err != nil || len(nars) != len(paths) {
		t.Fatalf("the cache has %d NARs (%v), want %d", len(nars), err, len(paths))
	}
	d.spoil(paths[:1])
	for _, nar := range nars {
		engines.Run(t, d.shell(`chmod u+w "$1" && printf x | dd of="$1" bs=1 seek=40 conv=notrunc status=none`, nar))
	}
	d.damaged(paths[:1], "store", "verify", "--repair", "--from", server.URL, "--trusted-public-key", key)
	d.damaged(paths[:1], "store", "verify")
}
