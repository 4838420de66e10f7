package nix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/need"
)

// flake is a copy of this repository as a flake, and a nixpkgs for it.
type flake struct{ dir, nixpkgs string }

// newFlake copies what git knows of the repository and what is new.
func newFlake(t *testing.T) flake {
	t.Helper()
	need.Programs(t, "nix", "git", "go")
	f := flake{dir: filepath.Join(t.TempDir(), "terrine"), nixpkgs: filepath.Join(t.TempDir(), "nixpkgs")}
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = "../.."
	for name := range strings.SplitSeq(engines.Run(t, list), "\x00") {
		if info, err := os.Lstat(filepath.Join("../..", name)); name != "" && err == nil && info.Mode().IsRegular() {
			copyFile(t, filepath.Join("../..", name), filepath.Join(f.dir, name), info.Mode().Perm())
		}
	}
	stub, err := filepath.Glob("nixpkgs/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stub {
		copyFile(t, name, filepath.Join(f.nixpkgs, filepath.Base(name)), 0o644)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, busybox, filepath.Join(f.nixpkgs, "busybox"), 0o755)
	f.writeMachine(t)
	engines.Run(t, f.command(t, "flake", "lock", "path:"+f.dir, "--override-input", "nixpkgs", "path:"+f.nixpkgs, "--offline"))
	return f
}

// writeMachine tells the nixpkgs where the Go of this machine is.
func (f flake) writeMachine(t *testing.T) {
	t.Helper()
	var env map[string]string
	said := engines.Run(t, exec.CommandContext(t.Context(), "go", "env", "-json", "GOROOT", "GOMODCACHE", "GOCACHE", "GOPROXY"))
	if err := json.Unmarshal([]byte(said), &env); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("{\n  path = %q;\n  gomodcache = %q;\n  gocache = %q;\n  goproxy = %q;\n}\n",
		filepath.Join(env["GOROOT"], "bin")+":/usr/bin:/bin", env["GOMODCACHE"], env["GOCACHE"], env["GOPROXY"])
	if err := os.WriteFile(filepath.Join(f.nixpkgs, "machine.nix"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, mode); err != nil {
		t.Fatal(err)
	}
}

// command returns a call of the new nix command line.
func (f flake) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nix", append([]string{"--extra-experimental-features", "nix-command flakes"}, args...)...)
	cmd.Env = append(os.Environ(), engines.NixEnv()...)
	cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+t.TempDir())
	return cmd
}

// on adds to a command that it is about this flake and its nixpkgs.
func (f flake) on(t *testing.T, verb string, args ...string) *exec.Cmd {
	t.Helper()
	all := append([]string{verb}, args...)
	return f.command(t, append(all, "--override-input", "nixpkgs", "path:"+f.nixpkgs, "--no-write-lock-file", "--offline")...)
}

// built runs nix build and returns the output.
func built(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var results []struct{ Outputs map[string]string }
	said := engines.Run(t, cmd)
	if err := json.Unmarshal([]byte(said), &results); err != nil || len(results) != 1 {
		t.Fatalf("nix build says %s", said)
	}
	return results[0].Outputs["out"]
}

// TestFlake has nix check the flake: it evaluates all outputs and builds the
// checks, the package with its vendorHash among them. Then it runs an image.
func TestFlake(t *testing.T) {
	endToEnd(t)
	f := newFlake(t)
	engines.Run(t, f.on(t, "flake", "check", "path:"+f.dir))
	out := built(t, f.on(t, "build", "path:"+f.dir+"#terrine", "--no-link", "--json"))
	if said := engines.Run(t, exec.CommandContext(t.Context(), filepath.Join(out, "bin/terrine"), "--version")); !strings.Contains(said, "terrine 0.1.0") {
		t.Errorf("the package says that it is %q", said)
	}
	for _, file := range []string{"share/man/man1/terrine-build.1", "share/completions/terrine.bash"} {
		if _, err := os.Stat(filepath.Join(out, file)); err != nil {
			t.Error(err)
		}
	}
	t.Run("template", func(t *testing.T) { f.testTemplate(t) })
	t.Run("overlay", func(t *testing.T) {
		said := engines.Run(t, f.on(t, "eval", "--impure", "--raw", "--expr", fmt.Sprintf(`
			let flake = builtins.getFlake "path:%s"; final = (builtins.getFlake "path:%s").legacyPackages.x86_64-linux // flake.overlays.default final { };
			in (final.terrineImages.buildLayeredImage { name = "x"; contents = [ final.hello ]; }).imageName + " " + final.terrine.pname`, f.dir, f.nixpkgs)))
		if said != "x terrine" {
			t.Errorf("the overlay gives %q", said)
		}
	})
}

// testTemplate makes a project of the template and runs its image.
func (f flake) testTemplate(t *testing.T) {
	docker := shared.Docker(t)
	project := filepath.Join(t.TempDir(), "project")
	if err := os.Mkdir(project, 0o755); err != nil {
		t.Fatal(err)
	}
	init := f.command(t, "flake", "init", "--template", "path:"+f.dir)
	init.Dir = project
	engines.Run(t, init)
	override := []string{"--override-input", "nixpkgs", "path:" + f.nixpkgs, "--override-input", "terrine", "path:" + f.dir, "--no-write-lock-file", "--offline"}
	i := &image{docker: docker, want: "hello:latest"}
	run := f.command(t, append([]string{"run", "path:" + project + "#image.stream"}, override...)...)
	i.ref = i.pipe(t, run)
	listed(t, i)
	prints("Hello from a flake")(t, i)
	i.output = built(t, f.command(t, append([]string{"build", "path:" + project, "--no-link", "--json"}, override...)...))
	i.load(t)
	prints("Hello from a flake")(t, i)
}

// TestFlakeIsFormatted only looks for tabs: there is no formatter for Nix here.
func TestFlakeIsFormatted(t *testing.T) {
	files, err := filepath.Glob("../../nix/*.nix")
	if err != nil || len(files) < 5 {
		t.Fatal(err, files)
	}
	for _, name := range append(files, "../../flake.nix", "../../nix/template/flake.nix", "images.nix") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(text, '\t') || bytes.Contains(text, []byte(" \n")) {
			t.Errorf("%s has tabs, or spaces at the end of a line", name)
		}
	}
}
