package tests

import (
	"os"
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

// build is Build for a spec that is not written yet.
func (d *desk) build(s spec, name string, flags ...string) (string, lab.Image) {
	d.t.Helper()
	return d.Build(d.WriteSpec(s), name, flags...)
}

// inStore returns where an object of the desk's own store is on disk.
func (d *desk) inStore(storePath string, elem ...string) string {
	return d.Path(append([]string{"data", "terrine", storePath}, elem...)...)
}

// leavesNothing tests that the directory for outputs holds no file but those
// that are named: neither an output nor a temporary file.
func (d *desk) leavesNothing(but ...string) {
	d.t.Helper()
	entries, err := os.ReadDir(d.Path("out"))
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
