package nix

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
)

// expression is images.nix with its arguments.
type expression struct {
	file string
	args []string
}

// imagesNix returns images.nix for the terrine of this module. The closures of
// Debian packages are built first.
func imagesNix(t *testing.T, port string) expression {
	t.Helper()
	args := []string{"--argstr", "terrine", shared.Terrine(t), "--argstr", "port", port, "--argstr", "hello386", helloFor(t, "386")}
	for name, packages := range map[string][]string{"nix": {"nix-bin", "bash", "coreutils"}, "nginx": {"nginx"}} {
		closure := engines.Closure(t, fixtures.Debian(t, packages...))
		args = append(args, "--arg", name, nixList(closure))
	}
	return expression{"images.nix", args}
}

func nixList(words []string) string { return `[ "` + strings.Join(words, `" "`) + `" ]` }

// build builds attributes and returns the store path of each.
func (e expression) build(t *testing.T, attributes ...string) []string {
	t.Helper()
	args := append([]string{"--quiet", "--no-out-link", e.file}, e.args...)
	for _, a := range attributes {
		args = append(args, "--attr", a)
	}
	paths := engines.Nix(t, "nix-build", args...)
	if len(paths) != len(attributes) {
		t.Fatalf("nix-build of %d attributes gave %d paths", len(attributes), len(paths))
	}
	return paths
}

// eval returns the value of an attribute.
func (e expression) eval(t *testing.T, attribute string, to any) {
	t.Helper()
	args := append([]string{"--eval", "--strict", "--json", "--attr", attribute, e.file}, e.args...)
	said := strings.Join(engines.Nix(t, "nix-instantiate", args...), " ")
	if err := json.Unmarshal([]byte(said), to); err != nil {
		t.Fatalf("%s is no JSON: %s", attribute, said)
	}
}

// helloFor builds a program that greets from a processor.
func helloFor(t *testing.T, goarch string) string {
	t.Helper()
	dir := t.TempDir()
	const source = `package main

import (
	"fmt"
	"runtime"
)

func main() { fmt.Println("Hello from", runtime.GOARCH) }
`
	file := filepath.Join(dir, "hello.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "hello-"+goarch)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", program, file)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build hello: %v\n%s", err, said)
	}
	return program
}

// forget removes outputs from the machine's store: each run makes new ones.
func forget(t *testing.T, outputs []string) {
	t.Helper()
	cmd := exec.Command("nix-store", append([]string{"--delete"}, outputs...)...)
	cmd.Env = append(os.Environ(), engines.NixEnv()...)
	// What another process needs stays.
	_ = cmd.Run()
}

// image is an image that nix has built, in dockerd.
type image struct {
	docker *engines.Docker
	paths  map[string]string // of fixtures, by name
	output string            // an archive, or the program that writes one
	want   string            // the reference that nix has evaluated
	ref    string            // that docker says it has loaded
}

// load loads the image: an archive, or what a program writes.
func (i *image) load(t *testing.T) {
	t.Helper()
	if strings.Contains(filepath.Base(i.output), ".tar") {
		i.ref = i.docker.Load(t, i.output)[0]
		return
	}
	i.ref = i.pipe(t, exec.CommandContext(t.Context(), i.output))
}

// pipe has docker load read what a program writes.
func (i *image) pipe(t *testing.T, program *exec.Cmd) string {
	t.Helper()
	program.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir())
	load := i.docker.Command(t.Context(), "load", "--quiet")
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	load.Stdin = out
	var said strings.Builder
	program.Stderr = &said
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	loaded := engines.Try(t, load)
	if err := program.Wait(); err != nil || loaded.Code != 0 {
		t.Fatalf("%s | docker load: %v and exit code %d\n%s%s", program, err, loaded.Code, said.String(), loaded.Stderr)
	}
	_, ref, _ := strings.Cut(strings.TrimSpace(loaded.Stdout), ": ")
	return ref
}

func (i *image) inspect(t *testing.T) engines.Inspected { return i.docker.Inspect(t, i.ref) }

// run runs a command in a container; none is that of the image.
func (i *image) run(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(i.docker.Run(t, append([]string{i.ref}, args...)...))
}

// prints is a check of what a container prints.
func prints(want string, args ...string) func(*testing.T, *image) {
	return func(t *testing.T, i *image) {
		t.Helper()
		if got := i.run(t, args...); got != want {
			t.Errorf("docker run %q prints %q, want %q", args, got, want)
		}
	}
}

// both is two checks.
func both(checks ...func(*testing.T, *image)) func(*testing.T, *image) {
	return func(t *testing.T, i *image) {
		t.Helper()
		for _, check := range checks {
			check(t, i)
		}
	}
}

// listed tests that docker lists the reference that nix has evaluated.
func listed(t *testing.T, i *image) {
	t.Helper()
	if tags := i.inspect(t).RepoTags; i.ref != i.want || !slices.Contains(tags, i.want) {
		t.Errorf("docker load names %s, docker lists %q, want %s", i.ref, tags, i.want)
	}
}
