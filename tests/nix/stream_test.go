package nix

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/tests/engines"
)

// The program that streams an image is run by its path, in strings and by nix run;
// it uses the user's cache, and takes the flags of build.
func TestStream(t *testing.T) {
	endToEnd(t)
	docker := shared.Docker(t)
	e := imagesNix(t, "8080")
	outputs := e.build(t, "rows.D29", "rows.D29.stream", "rows.D29.conf", "inString")
	t.Cleanup(func() { forget(t, outputs[:1]) })
	var references map[string]string
	e.eval(t, "references", &references)
	archive, program := outputs[0], outputs[1]

	cache := t.TempDir()
	stream := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "XDG_CACHE_HOME=" + cache}
		return cmd
	}
	plain := engines.Run(t, stream())
	if again := engines.Run(t, stream()); again != plain {
		t.Error("with a cache it writes another archive")
	}
	if found, _ := filepath.Glob(filepath.Join(cache, "terrine", "*")); len(found) == 0 {
		t.Error("it has not used the cache of the user")
	}
	unpacked := exec.CommandContext(t.Context(), "gzip", "-dc", archive)
	if engines.Run(t, unpacked) != plain {
		t.Error("it writes another archive than the derivation has")
	}
	const hidden = `mount --bind /dev/null "$(readlink -f /bin/sh)" && exec "$@"`
	bare := exec.CommandContext(t.Context(), "unshare", "--mount", "/bin/sh", "-c", hidden, "sh", program)
	bare.Env = stream().Env
	if engines.Run(t, bare) != plain {
		t.Error("where there is no /bin/sh it writes another archive")
	}
	i := &image{docker: docker, output: program, want: references["D29"]}
	i.load(t)
	listed(t, i)
	prints("layered content")(t, i)

	other := filepath.Join(t.TempDir(), "other.tar.gz")
	engines.Run(t, stream("--tag", "other:1", "-o", other))
	if refs := docker.Load(t, other); !slices.Equal(refs, []string{"other:1"}) {
		t.Errorf("with --tag it is called %q", refs)
	}
	if text := read(t, outputs[3]); strings.TrimSpace(text) != program {
		t.Errorf("in a string it is %s, want %s", text, program)
	}
}

// A directory that nix shows to its builds is their cache.
func TestCacheInTheSandbox(t *testing.T) {
	endToEnd(t)
	needSandbox(t)
	e := imagesNix(t, "8080")
	e.build(t, "fixtures.crowd", "fixtures.hello")
	cache := t.TempDir()
	if err := os.Chmod(cache, 0o777); err != nil { // as the documentation says
		t.Fatal(err)
	}
	// Where the test's directories are, others may not go.
	for dir := cache; dir != filepath.Dir(os.TempDir()) && dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o777)
	}
	args := append([]string{"--no-out-link", "--attr", "rows.D40", "--option", "extra-sandbox-paths", "/var/cache/terrine-nix=" + cache, e.file}, e.args...)
	build := func(more ...string) string {
		cmd := exec.CommandContext(t.Context(), "nix-build", append(more, args...)...)
		cmd.Env = sandboxed()
		r := engines.Try(t, cmd)
		if r.Code != 0 || strings.Contains(r.Stderr, "without a cache") {
			t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
		}
		return strings.TrimSpace(r.Stdout)
	}
	// What is built may be there from another test.
	plain := e.build(t, "rows.D40")
	build("--check")
	caches, _ := filepath.Glob(filepath.Join(cache, "*", "*"))
	if len(caches) == 0 {
		t.Fatal("the cache is empty")
	}
	if out := build("--check"); out != plain[0] {
		t.Errorf("with a cache the output is %s, want %s", out, plain[0])
	}
	t.Cleanup(func() { forget(t, plain) })
}
