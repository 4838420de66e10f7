package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
)

// TestHelloExample does what `make image` does, and what it says to do next.
func TestHelloExample(t *testing.T) {
	d := newDesk(t)
	example := filepath.Join(moduleRoot(t), "examples", "hello")
	text, err := os.ReadFile(filepath.Join(example, "image.json"))
	if err != nil {
		t.Fatal(err)
	}
	d.Write(string(text), "image.json")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s",
		"-o", d.Path("root", "bin", "hello"), example)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	engines.Run(t, build)
	archive := d.Path("out", "image.tar.gz")
	said := d.Run("build", d.Path("image.json"), "-o", archive, "--quiet")
	ref, _, _ := strings.Cut(strings.TrimSpace(said), "@")
	if ref != "hello:latest" {
		t.Errorf("build prints %q, want hello:latest@…", said)
	}
	const greeting = "Hello from an image that terrine built.\n"
	docker := shared.Docker(t)
	docker.Load(t, archive)
	if got := docker.Run(t, ref, "-once"); got != greeting {
		t.Errorf("docker run prints %q, want %q", got, greeting)
	}
	podman := engines.NewPodman(t)
	if got := podman.Run(t, podman.Load(t, archive)[0], "-once"); got != greeting {
		t.Errorf("podman run prints %q, want %q", got, greeting)
	}
}
