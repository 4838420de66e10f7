package memo

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"terrine/tests/lab"
)

// spec is an image.json.
type spec map[string]any

// desk is a place to call terrine at, with what these tests do there.
type desk struct {
	*lab.Desk
	t *testing.T
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	return &desk{Desk: shared.Desk(t), t: t}
}

// build is Build, anew if the file is there.
func (d *desk) build(specFile, name string, flags ...string) (string, lab.Image) {
	d.t.Helper()
	return d.Build(specFile, name, append(flags, "--force")...)
}

func (d *desk) decode(text string) (i lab.Image) {
	d.t.Helper()
	lab.Decode(d.t, text, &i)
	return i
}

// cached returns the files of the cache, by path, with their contents' digests.
func (d *desk) cached() map[string]string {
	d.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(d.Path("cache", "terrine", "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files[path] = lab.FileDigest(d.t, path)
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
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lab.Decode(t, text, v)
}
