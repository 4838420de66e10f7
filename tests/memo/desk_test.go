package memo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
)

// Exit codes of terrine.
const (
	exitNotCached = 3
	exitIntegrity = 16
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
	if testing.Short() {
		t.Skip("an end-to-end test, left out by -short")
	}
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
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// command returns a call of terrine, which sees no more of the environment than
// is set here.
func (d *desk) command(args ...string) *exec.Cmd {
	d.t.Helper()
	terrine, err := shared.terrine()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.CommandContext(d.t.Context(), terrine, args...)
	cmd.Dir = d.dir
	cmd.Env = append(engines.NixEnv(), "PATH="+os.Getenv("PATH"), "HOME="+d.path("home"), "TMPDIR="+os.TempDir(),
		"XDG_CACHE_HOME="+d.path("cache"), "XDG_DATA_HOME="+d.path("data"))
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
	text, err := json.Marshal(s)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.write(string(text), "image.json")
}

// image is what build and probe print with --json.
type image struct {
	Digest  string `json:"digest"`
	ImageID string `json:"imageID"`
	Layers  []struct {
		DiffID    string   `json:"diffID"`
		Digest    string   `json:"digest"`
		Size      int64    `json:"size"`
		MediaType string   `json:"mediaType"`
		Paths     []string `json:"paths"`
	} `json:"layers"`
	Misses []struct {
		Layer int      `json:"layer"`
		Why   string   `json:"why"`
		Size  int64    `json:"size"`
		Paths []string `json:"paths"`
	} `json:"misses"`
	Damaged []struct {
		Layer int    `json:"layer"`
		Path  string `json:"path"`
		Size  int64  `json:"size"`
		What  string `json:"what"`
		Why   string `json:"why"`
	} `json:"damaged"`
}

// build builds a spec into a file of the directory for outputs, anew if it is
// there, and returns the file and what terrine says of it.
func (d *desk) build(specFile, name string, flags ...string) (string, image) {
	d.t.Helper()
	file := d.path("out", name)
	args := append([]string{"build", specFile, "-o", file, "--json", "--quiet", "--force"}, flags...)
	return file, d.decode(d.run(args...))
}

func (d *desk) decode(text string) (i image) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		d.t.Fatalf("%v in %q", err, text)
	}
	return i
}

// add puts a file or directory into the desk's own store and returns the store
// path.
func (d *desk) add(path string, flags ...string) string {
	d.t.Helper()
	return strings.TrimSpace(d.run(append([]string{"store", "add", path}, flags...)...))
}

// importClosure copies a closure from nix into the desk's own store.
func (d *desk) importClosure(top string) {
	d.t.Helper()
	export := exec.Command("nix-store", append([]string{"--export"}, engines.Closure(d.t, top)...)...)
	export.Env = append(os.Environ(), engines.NixEnv()...)
	file, err := os.Create(d.path("export"))
	if err != nil {
		d.t.Fatal(err)
	}
	export.Stdout = file
	engines.Run(d.t, export)
	if err := file.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.run("store", "import", file.Name())
}

// registration writes nix's registration of a closure to the desk.
func (d *desk) registration(top string) string {
	d.t.Helper()
	dump := exec.Command("nix-store", append([]string{"--dump-db"}, engines.Closure(d.t, top)...)...)
	dump.Env = append(os.Environ(), engines.NixEnv()...)
	return d.write(engines.Run(d.t, dump), "registration")
}

// cached returns the files of the cache, by path, with their contents' digests.
func (d *desk) cached() map[string]string {
	d.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(d.path("cache", "terrine", "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files[path] = fileDigest(d.t, path)
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return files
}

// newIn returns the keys that are in b and not in a.
func newIn(a, b map[string]string) (names []string) {
	for name := range maps.Keys(b) {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// fileDigest returns the sha256 of a file.
func fileDigest(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return digestOf(t, f)
}

func digestOf(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
}
