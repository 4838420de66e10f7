package tests

import (
	"os/exec"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
)

// TestClosureSources builds one image of a closure that terrine is told in
// every way there is, and compares the archives.
func TestClosureSources(t *testing.T) {
	lab.EndToEnd(t)
	built := fixtures.Build(t, "everything", "attributes", "hello")
	top, attributes, hello := built[0], built[1], built[2]
	s := spec{"name": "closures", "tag": "v1", "contents": []string{hello}, "config": spec{"Cmd": []string{top}}}
	asked := newDesk(t)
	archive, sum := asked.build(s, "image.tar")
	want := lab.FileDigest(t, archive)
	compareLayers(t, sum, engines.Closure(t, top))

	t.Run("references graph of a derivation", func(t *testing.T) {
		d := newDesk(t)
		compareDigest(t, lab.WithoutNix(d.Command("build", d.WriteSpec(s), "--closure", attributes+"#graph")), d, want)
	})
	t.Run("references graph by itself", func(t *testing.T) {
		d := newDesk(t)
		compareDigest(t, lab.WithoutNix(d.Command("build", d.WriteSpec(s), "--closure", d.graph(attributes))), d, want)
	})
	t.Run("registration", func(t *testing.T) {
		d := newDesk(t)
		file := d.WriteSpec(s)
		compareDigest(t, lab.WithoutNix(d.Command("build", file, "--closure", d.registrationOf(file))), d, want)
	})
	t.Run("own store", func(t *testing.T) {
		d := newDesk(t)
		d.Import(top)
		compareDigest(t, lab.WithoutNix(d.Command("build", d.WriteSpec(s))), d, want)
	})
	t.Run("no source at all", func(t *testing.T) {
		d := newDesk(t)
		r := engines.Try(t, lab.WithoutNix(d.Command("build", d.WriteSpec(s), "-o", d.Path("out", "image.tar"))))
		if r.Code != lab.ExitRefused {
			t.Errorf("exit code %d, want %d: %s", r.Code, lab.ExitRefused, r.Stderr)
		}
		d.leavesNothing()
	})
}

func compareDigest(t *testing.T, build *exec.Cmd, d *desk, want string) {
	t.Helper()
	if got := d.digest(build); got != want {
		t.Errorf("the archive has the sha256 %s, want %s", got, want)
	}
}

// graph writes the graph of the attributes of a derivation to a file of its
// own, as older derivations have it.
func (d *desk) graph(attributes string) string {
	d.t.Helper()
	var all map[string]any
	lab.Decode(d.t, readFile(d.t, attributes), &all)
	return d.Write(lab.Encode(d.t, all["graph"]), "graph.json")
}
