package tests

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
)

// spec is an image.json.
type spec map[string]any

// desk is a place to call terrine at: an empty home, store, cache and
// directory for outputs, all of one test.
type desk struct {
	t   *testing.T
	dir string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	endToEnd(t)
	d := &desk{t: t, dir: t.TempDir()}
	for _, dir := range []string{"home", "cache", "data", "out"} {
		if err := os.Mkdir(d.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// path returns the path of something on the desk.
func (d *desk) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// write makes a file on the desk, with the directories above it.
func (d *desk) write(content string, elem ...string) string {
	d.t.Helper()
	file := d.path(elem...)
	if err := firstError(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// environment is all that terrine sees of the environment.
func (d *desk) environment() []string {
	return append(engines.NixEnv(), "PATH="+os.Getenv("PATH"), "HOME="+d.path("home"), "TMPDIR="+os.TempDir(),
		"XDG_CACHE_HOME="+d.path("cache"), "XDG_DATA_HOME="+d.path("data"))
}

// command returns a call of terrine.
func (d *desk) command(args ...string) *exec.Cmd {
	return d.commandContext(d.t.Context(), args...)
}

func (d *desk) commandContext(ctx context.Context, args ...string) *exec.Cmd {
	d.t.Helper()
	terrine, err := shared.terrine()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, terrine, args...)
	cmd.Env, cmd.Dir = d.environment(), d.dir
	return cmd
}

// run calls terrine and returns its standard output; it must succeed.
func (d *desk) run(args ...string) string {
	d.t.Helper()
	return engines.Run(d.t, d.command(args...))
}

// writeSpec writes an image.json to the desk and returns its path.
func (d *desk) writeSpec(s spec) string {
	d.t.Helper()
	return d.write(encode(d.t, s), "image.json")
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// summary is what `build --json` prints.
type summary struct {
	Digest  string  `json:"digest"`
	ImageID string  `json:"imageID"`
	Layers  []layer `json:"layers"`
	Seconds float64 `json:"seconds"`
}

type layer struct {
	DiffID    string   `json:"diffID"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	MediaType string   `json:"mediaType"`
	Paths     []string `json:"paths"`
}

// build builds a spec into a file of the directory for outputs, and returns
// the file and what terrine says of it.
func (d *desk) build(s spec, name string, flags ...string) (string, summary) {
	d.t.Helper()
	file := d.path("out", name)
	args := append([]string{"build", d.writeSpec(s), "-o", file, "--json", "--quiet"}, flags...)
	var sum summary
	if said := d.run(args...); json.Unmarshal([]byte(said), &sum) != nil {
		d.t.Fatalf("build --json prints no JSON: %s", said)
	}
	return file, sum
}

// add puts a file or directory into the desk's own store and returns the store
// path.
func (d *desk) add(path string, flags ...string) string {
	d.t.Helper()
	return strings.TrimSpace(d.run(append([]string{"store", "add", path}, flags...)...))
}

// inStore returns where an object of the desk's own store is on disk.
func (d *desk) inStore(storePath string, elem ...string) string {
	return d.path(append([]string{"data", "terrine", storePath}, elem...)...)
}

// leavesNothing tests that the directory for outputs holds no file but those
// that are named: neither an output nor a temporary file.
func (d *desk) leavesNothing(but ...string) {
	d.t.Helper()
	entries, err := os.ReadDir(d.path("out"))
	if err != nil {
		d.t.Fatal(err)
	}
	left := map[string]bool{}
	for _, e := range entries {
		left[e.Name()] = true
	}
	for _, name := range but {
		if !left[name] {
			d.t.Errorf("%s is gone", name)
		}
		delete(left, name)
	}
	for name := range left {
		d.t.Errorf("left behind: %s", name)
	}
}
