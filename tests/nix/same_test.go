package nix

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"terrine/tests/engines"
	"terrine/tests/need"
)

// sandboxed is the environment of a nix as a daemon's: it builds in a sandbox, as
// users who have no rights.
func sandboxed() []string {
	return append(os.Environ(), "NIX_REMOTE=", "NIX_CONFIG=sandbox = true\nsandbox-fallback = false\nbuild-users-group = nixbld\nsubstituters =\nmax-jobs = 2\n")
}

// needSandbox ends the test where nix has no sandbox.
func needSandbox(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "probe.nix")
	expression := `derivation { name = "probe"; system = builtins.currentSystem; builder = "/no/such/program"; salt = "` + time.Now().String() + `"; }`
	if err := os.WriteFile(file, []byte(expression), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nix-build", "--no-out-link", file)
	cmd.Env = sandboxed()
	said, _ := cmd.CombinedOutput()
	if !strings.Contains(string(said), "executing '/no/such/program'") && !strings.Contains(string(said), "failed with exit code") {
		need.Lacking(t, "nix has no sandbox here: "+string(said))
	}
}

// compared are rows whose images are built more than once: with commands of
// every kind, with a database, streamed, and compressed in each way.
var compared = []string{"D1", "D12", "D14", "D16", "D18", "D26", "D42", "D49", "D57", "D75", "D76"}

// Built again, and in nix's sandbox by users without rights, derivations give
// what they gave before.
func TestSandboxGivesTheSame(t *testing.T) {
	endToEnd(t)
	e := imagesNix(t, "8080")
	var attributes []string
	for _, n := range compared {
		attributes = append(attributes, "rows."+n, "rows."+n+".conf")
		if n == "D26" || n == "D49" || n == "D57" || n == "D75" {
			attributes = append(attributes, "rows."+n+".rootTree")
		}
	}
	outputs := e.build(t, attributes...)
	t.Cleanup(func() { forget(t, outputs) })
	check := func(env []string) func(*testing.T) {
		return func(t *testing.T) {
			args := append([]string{"--check", "--no-out-link", e.file}, e.args...)
			for _, a := range attributes {
				args = append(args, "--attr", a)
			}
			cmd := exec.CommandContext(t.Context(), "nix-build", args...)
			cmd.Env = env
			r := engines.Try(t, cmd)
			if n := strings.Count(r.Stderr, "checking outputs of"); r.Code != 0 || n != len(attributes) {
				t.Errorf("exit code %d, %d of %d derivations checked\n%s", r.Code, n, len(attributes), r.Stderr)
			}
		}
	}
	t.Run("again", check(append(os.Environ(), engines.NixEnv()...)))
	t.Run("sandbox", func(t *testing.T) {
		needSandbox(t)
		check(sandboxed())(t)
	})
}

// An image that nix has built is the file that `terrine build` makes of the same
// spec and closure, with and without a cache.
func TestBuildGivesTheSame(t *testing.T) {
	endToEnd(t)
	e := imagesNix(t, "8080")
	rows := []string{"D12", "D14", "D16", "D18", "D49", "D76"}
	var references map[string]string
	e.eval(t, "references", &references)
	var attributes []string
	for _, n := range rows {
		for _, part := range []string{"", ".conf", ".closure", ".plan"} {
			attributes = append(attributes, "rows."+n+part)
		}
	}
	// A stream has no archive to compare with.
	attributes[len(attributes)-4] = "archiveOfD76"
	outputs := e.build(t, attributes...)
	t.Cleanup(func() { forget(t, outputs) })
	cache := t.TempDir()
	for k, n := range rows {
		archive, conf, closure, plan := outputs[4*k], outputs[4*k+1], outputs[4*k+2], outputs[4*k+3]
		_, extension, _ := strings.Cut(filepath.Base(archive), ".tar")
		for _, how := range []string{"cold", "warm"} {
			out := filepath.Join(t.TempDir(), "image.tar"+extension)
			run(t, cache, "build", conf, "--closure", closure, "--tag", references[n], "--output", out, "--quiet")
			if !bytes.Equal([]byte(read(t, out)), []byte(read(t, archive))) {
				t.Errorf("%s: the %s build of the spec is another file than nix's %s", n, how, archive)
			}
		}
		if said := run(t, cache, "plan", conf, "--closure", closure, "--json"); said != read(t, plan) {
			t.Errorf("%s: terrine plans\n%s\nthe derivation\n%s", n, said, read(t, plan))
		}
	}
}

// run runs terrine with a cache and without a nix.
func run(t *testing.T, cache string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shared.Terrine(t), args...)
	cmd.Env = []string{"PATH=/nonexistent", "XDG_CACHE_HOME=" + cache, "XDG_DATA_HOME=" + cache}
	return engines.Run(t, cmd)
}

// Images are built while others add the same files to the store, which nix makes
// one by hard links at any moment.
func TestManyAtOnce(t *testing.T) {
	endToEnd(t)
	e := imagesNix(t, "8080")
	salt := time.Now().Format(time.RFC3339Nano)
	// These are there before, and are optimised while the images are built.
	e.build(t, "fixtures.hello", "fixtures.crowd")
	args := append([]string{"--no-out-link", "--attr", "many", "--attr", "others", "--argstr", "salt", salt,
		"--option", "auto-optimise-store", "true", "--option", "max-jobs", "12", "--option", "cores", "1", e.file}, e.args...)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nix-build", args...)
	cmd.Env = append(os.Environ(), engines.NixEnv()...)
	outputs := strings.Fields(engines.Run(t, cmd))
	t.Cleanup(func() { forget(t, outputs) })
	if len(outputs) != 60 {
		t.Fatalf("%d outputs", len(outputs))
	}
	var layers []string
	for _, archive := range outputs[:20] {
		var shown struct {
			Layers []struct {
				DiffID string `json:"diffID"`
			} `json:"layers"`
		}
		said := run(t, t.TempDir(), "inspect", archive, "--json")
		if err := json.Unmarshal([]byte(said), &shown); err != nil || len(shown.Layers) == 0 {
			t.Fatalf("inspect says %s", said)
		}
		// The images differ in their config alone.
		var all strings.Builder
		for _, l := range shown.Layers {
			all.WriteString(l.DiffID)
		}
		layers = append(layers, all.String())
		if layers[0] != all.String() {
			t.Errorf("%s has other layers than %s", archive, outputs[0])
		}
	}
}
