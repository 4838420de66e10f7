package tests

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
)

// TestClosureSources builds one image of a closure that terrine is told in
// every way there is, and compares the archives.
func TestClosureSources(t *testing.T) {
	endToEnd(t)
	built := fixtures.Build(t, "everything", "attributes", "hello")
	top, attributes, hello := built[0], built[1], built[2]
	s := spec{"name": "closures", "tag": "v1", "contents": []string{hello}, "config": spec{"Cmd": []string{top}}}
	asked := newDesk(t)
	archive, sum := asked.build(s, "image.tar")
	want := digestOf(t, archive)
	compareLayers(t, sum, engines.Closure(t, top))

	t.Run("references graph of a derivation", func(t *testing.T) {
		d := newDesk(t)
		compareDigest(t, d.withoutNix("build", d.writeSpec(s), "--closure", attributes+"#graph"), d, want)
	})
	t.Run("references graph by itself", func(t *testing.T) {
		d := newDesk(t)
		compareDigest(t, d.withoutNix("build", d.writeSpec(s), "--closure", d.graph(attributes)), d, want)
	})
	t.Run("registration", func(t *testing.T) {
		d := newDesk(t)
		file := d.writeSpec(s)
		compareDigest(t, d.withoutNix("build", file, "--closure", d.registration(file)), d, want)
	})
	t.Run("own store", func(t *testing.T) {
		d := newDesk(t)
		d.importClosure(top)
		compareDigest(t, d.withoutNix("build", d.writeSpec(s)), d, want)
	})
	t.Run("no source at all", func(t *testing.T) {
		d := newDesk(t)
		r := engines.Try(t, d.withoutNix("build", d.writeSpec(s), "-o", d.path("out", "image.tar")))
		if r.Code != exitRefused {
			t.Errorf("exit code %d, want %d: %s", r.Code, exitRefused, r.Stderr)
		}
		d.leavesNothing()
	})
}

// withoutNix returns a call of terrine that finds no nix-store.
func (d *desk) withoutNix(args ...string) *exec.Cmd {
	d.t.Helper()
	cmd := d.command(args...)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return len(v) > 5 && v[:5] == "PATH=" })
	return cmd
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
	decode(d.t, readFile(d.t, attributes), &all)
	return d.write(encode(d.t, all["graph"]), "graph.json")
}

// importClosure copies a closure from nix into the desk's own store.
func (d *desk) importClosure(top string) {
	d.t.Helper()
	file := d.path("export")
	f, err := os.Create(file)
	if err != nil {
		d.t.Fatal(err)
	}
	export := exec.Command("nix-store", append([]string{"--export"}, engines.Closure(d.t, top)...)...)
	export.Env, export.Stdout = d.environment(), f
	engines.Run(d.t, export)
	if err := f.Close(); err != nil {
		d.t.Fatal(err)
	}
	engines.Run(d.t, d.withoutNix("store", "import", file))
}
