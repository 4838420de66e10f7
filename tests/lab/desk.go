package lab

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/need"
)

// The exit codes of terrine that tests expect, as its manual has them.
const (
	ExitFailed       = 1
	ExitUsage        = 2
	ExitNotCached    = 3
	ExitStoreDamaged = 10
	ExitRefused      = 13
	ExitIntegrity    = 16
)

// Desk is a place to call terrine at: an empty home, cache, data and directory
// for outputs (out), all of one test.
type Desk struct {
	Dir string // absolute; with the test, it goes

	t   *testing.T
	lab *Lab
}

// Desk makes a desk for an end-to-end test, which it marks as one.
func (l *Lab) Desk(t *testing.T) *Desk {
	t.Helper()
	EndToEnd(t)
	d := &Desk{Dir: need.TempDir(t), t: t, lab: l}
	for _, dir := range []string{"home", "cache", "data", "out"} {
		if err := os.Mkdir(d.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// Path returns the path of something on the desk.
func (d *Desk) Path(elem ...string) string {
	return filepath.Join(append([]string{d.Dir}, elem...)...)
}

// Write makes a file on the desk, with the directories above it, and returns its
// path.
func (d *Desk) Write(content string, elem ...string) string {
	d.t.Helper()
	file := d.Path(elem...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// WriteSpec writes an image.json to the desk and returns its path.
func (d *Desk) WriteSpec(spec any) string {
	d.t.Helper()
	return d.Write(Encode(d.t, spec), "image.json")
}

// Encode returns a value as JSON.
func Encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Decode reads JSON.
func Decode[T string | []byte](t *testing.T, text T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// Environment is all that terrine sees of the environment.
func (d *Desk) Environment() []string {
	return append(engines.NixEnv(), "PATH="+os.Getenv("PATH"), "HOME="+d.Path("home"), "TMPDIR="+os.TempDir(),
		"XDG_CACHE_HOME="+d.Path("cache"), "XDG_DATA_HOME="+d.Path("data"))
}

// Command returns a call of terrine, which ends with the test.
func (d *Desk) Command(args ...string) *exec.Cmd {
	d.t.Helper()
	return d.CommandContext(d.t.Context(), args...)
}

// CommandContext returns a call of terrine, which ends with ctx.
func (d *Desk) CommandContext(ctx context.Context, args ...string) *exec.Cmd {
	d.t.Helper()
	cmd := exec.CommandContext(ctx, d.lab.Terrine(d.t), args...)
	cmd.Env, cmd.Dir = d.Environment(), d.Dir
	return cmd
}

// WithoutNix takes PATH from a command, so that terrine finds no nix-store.
func WithoutNix(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "PATH=") })
	return cmd
}

// Run calls terrine and returns its standard output; it must succeed.
func (d *Desk) Run(args ...string) string {
	d.t.Helper()
	return engines.Run(d.t, d.Command(args...))
}

// Build builds a spec into a file of the directory for outputs, and returns the
// file and what terrine says of it.
func (d *Desk) Build(specFile, name string, flags ...string) (string, Image) {
	d.t.Helper()
	file := d.Path("out", name)
	var built Image
	Decode(d.t, d.Run(append([]string{"build", specFile, "-o", file, "--json", "--quiet"}, flags...)...), &built)
	return file, built
}

// Add puts a file or directory into the desk's own store and returns the store
// path.
func (d *Desk) Add(path string, flags ...string) string {
	d.t.Helper()
	return strings.TrimSpace(d.Run(append([]string{"store", "add", path}, flags...)...))
}

// Import copies the closure of a store path from nix into the desk's own store.
func (d *Desk) Import(top string) {
	d.t.Helper()
	file, err := os.Create(d.Path("export"))
	if err != nil {
		d.t.Fatal(err)
	}
	export := exec.CommandContext(d.t.Context(), "nix-store", append([]string{"--export"}, engines.Closure(d.t, top)...)...)
	export.Env, export.Stdout = d.Environment(), file
	engines.Run(d.t, export)
	if err := file.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.Run("store", "import", file.Name())
}

// Registration writes what nix has registered of the closure of store paths to
// the desk, and returns the file.
func (d *Desk) Registration(tops ...string) string {
	d.t.Helper()
	dump := exec.CommandContext(d.t.Context(), "nix-store", append([]string{"--dump-db"}, engines.Closure(d.t, tops...)...)...)
	dump.Env = d.Environment()
	return d.Write(engines.Run(d.t, dump), "registration")
}
