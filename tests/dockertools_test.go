package tests

import (
	"slices"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
)

// behaviour is one of those that nixpkgs' tests assert of dockerTools, by its
// number in the list of 78, restated for terrine's command line. Its image is
// built, loaded by dockerd, and then checked.
type behaviour struct {
	n      string
	phrase string
	output string // name of the archive; "-" is a pipe to docker load
	flags  []string
	spec   func(f paths) spec
	check  func(t *testing.T, c *loadedImage)
}

// paths are the store paths of the fixtures, by attribute.
type paths map[string]string

// loadedImage is an image in dockerd.
type loadedImage struct {
	docker *engines.Docker
	desk   *desk
	paths  paths
	spec   spec
	sum    lab.Image
	file   string   // the archive, unless it was a pipe
	refs   []string // what docker load has said
	ref    string   // the first of them
}

func (c *loadedImage) inspect(t *testing.T) engines.Inspected { return c.docker.Inspect(t, c.ref) }

// prints tests what a container prints.
func prints(want string, args ...string) func(*testing.T, *loadedImage) {
	return func(t *testing.T, c *loadedImage) {
		t.Helper()
		if got := strings.TrimSpace(c.docker.Run(t, slices.Concat([]string{c.ref}, args)...)); got != want {
			t.Errorf("docker run %q prints %q, want %q", args, got, want)
		}
	}
}

// TestDockerTools is the table of behaviours, one subtest a row.
func TestDockerTools(t *testing.T) {
	docker := shared.Docker(t)
	names := []string{"hello", "greet", "busybox", "plain-file", "symlink-path", "crowd", "twins", "cacert", "hello-txt"}
	built := fixtures.Build(t, names...)
	fixture := paths{}
	for i, n := range names {
		fixture[n] = built[i]
	}
	for _, b := range slices.Concat(runRows(), tagRows(), archiveRows(), storeRows(), configRows()) {
		t.Run(b.n+" "+b.phrase, func(t *testing.T) {
			t.Parallel()
			c := &loadedImage{docker: docker, desk: newDesk(t), paths: fixture, spec: b.spec(fixture)}
			c.desk.Write("hello from a directory\n", "dir", "hello.txt")
			if _, named := c.spec["name"]; !named {
				c.spec["name"] = "dockertools/" + strings.ToLower(b.n)
			}
			c.load(t, b.output, b.flags...)
			b.check(t, c)
		})
	}
}

// load builds the image and loads it.
func (c *loadedImage) load(t *testing.T, output string, flags ...string) {
	t.Helper()
	if output != "-" {
		c.file, c.sum = c.desk.build(c.spec, output, flags...)
		c.refs = c.docker.Load(t, c.file)
	} else {
		c.refs = c.loadPiped(t, flags)
	}
	c.ref = c.refs[0]
}

// loadPiped builds to a pipe that docker load reads.
func (c *loadedImage) loadPiped(t *testing.T, flags []string) []string {
	t.Helper()
	build := c.desk.Command(append([]string{"build", c.desk.WriteSpec(c.spec), "-o", "-", "--quiet"}, flags...)...)
	load := c.docker.Command(t.Context(), "load", "--quiet")
	pipe, err := build.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	load.Stdin = pipe
	var said strings.Builder
	build.Stderr = &said
	if err := build.Start(); err != nil {
		t.Fatal(err)
	}
	loaded := engines.Try(t, load)
	if err := build.Wait(); err != nil || loaded.Code != 0 {
		t.Fatalf("terrine build | docker load: %v and exit code %d\n%s%s", err, loaded.Code, said.String(), loaded.Stderr)
	}
	_, ref, _ := strings.Cut(strings.TrimSpace(loaded.Stdout), ": ")
	return []string{ref}
}
