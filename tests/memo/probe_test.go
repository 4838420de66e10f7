package memo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
	"terrine/tests/need"
)

// traced returns cmd run by strace, which writes every call that names a file to
// the file returned. With -y a file descriptor comes with its path, so that a
// call relative to the store shows it.
func (d *desk) traced(cmd *exec.Cmd) (*exec.Cmd, string) {
	d.t.Helper()
	need.Programs(d.t, "strace")
	log := d.Path("trace")
	args := append([]string{"-f", "-y", "-s", "4096", "-e", "trace=%file", "-o", log}, cmd.Args...)
	outer := exec.CommandContext(d.t.Context(), "strace", args...)
	outer.Env, outer.Dir = cmd.Env, cmd.Dir
	return outer, log
}

// touching returns the lines of a trace that name what is in a directory, or
// reach it from there.
func touching(t *testing.T, log, dir string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "db.bolt") {
		t.Fatalf("the trace does not even name the memo:\n%s", text)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, dir+"/") || strings.Contains(line, "<"+dir+">") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestProbeOpensNoFileOfTheStore has S1, S2: probe tells the digest of the build
// with the store moved away, and no system call of it names the store.
func TestProbeOpensNoFileOfTheStore(t *testing.T) {
	t.Run("own store", func(t *testing.T) {
		d := newDesk(t)
		built := fixtures.Build(t, "everything", "hello")
		d.Import(built[0])
		s := d.WriteSpec(spec{"name": "own", "contents": built[1:], "config": spec{"Cmd": built[:1]}})
		_, want := d.build(s, "image.tar")

		store := d.Path("data", "terrine", "nix", "store")
		if err := os.Rename(store, d.Path("moved")); err != nil {
			t.Fatal(err)
		}
		cmd, log := d.traced(lab.WithoutNix(d.Command("probe", s, "--json")))
		compareProbe(t, d.decode(engines.Run(t, cmd)), want)
		for _, line := range touching(t, log, store) {
			t.Errorf("probe asks the store: %s", line)
		}
	})
	for _, form := range []string{"registration", "references graph"} {
		t.Run("host store, "+form, func(t *testing.T) {
			d := newDesk(t)
			built := fixtures.Build(t, "everything", "attributes", "hello")
			s := d.WriteSpec(spec{"name": "host", "contents": built[2:], "config": spec{"Cmd": built[:1]}})
			closure := d.Registration(built[0])
			if form == "references graph" {
				text, err := os.ReadFile(built[1])
				if err != nil {
					t.Fatal(err)
				}
				closure = d.Write(string(text), "graph.json") + "#graph"
			}
			_, want := d.build(s, "image.tar", "--closure", closure)

			// In a namespace in which /nix is empty.
			need.Programs(t, "unshare", "mount")
			need.Root(t)
			if err := os.Mkdir(d.Path("nix"), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd, log := d.traced(lab.WithoutNix(d.Command("probe", s, "--json", "--closure", closure)))
			compareProbe(t, d.decode(engines.Run(t, engines.InNamespace(cmd, d.Path("nix")))), want)
			for _, line := range touching(t, log, "/nix/store") {
				t.Errorf("probe asks the store: %s", line)
			}
		})
	}
}

func compareProbe(t *testing.T, probed, built lab.Image) {
	t.Helper()
	if probed.Digest != built.Digest || probed.ImageID != built.ImageID || len(probed.Layers) != len(built.Layers) {
		t.Errorf("probe tells %s, %s, build made %s, %s", probed.Digest, probed.ImageID, built.Digest, built.ImageID)
	}
	for i := range min(len(probed.Layers), len(built.Layers)) {
		if p, b := probed.Layers[i], built.Layers[i]; p.Digest != b.Digest || p.DiffID != b.DiffID || p.Size != b.Size {
			t.Errorf("layer %d: probe tells %+v, build made %+v", i, p, b)
		}
	}
}

// TestProbeOfSeveralForms: what the digest depends on is asked of probe, and no
// more is known than was built (S4, S11, S19).
func TestProbeOfSeveralForms(t *testing.T) {
	d := newDesk(t)
	hello := fixtures.Build(t, "hello")[0]
	d.Import(hello)
	write := func(more spec) string {
		s := spec{"name": "forms", "contents": []string{hello}, "maxLayers": 4}
		for k, v := range more {
			s[k] = v
		}
		return d.WriteSpec(s)
	}
	probe := func(s string, code int, flags ...string) lab.Image {
		t.Helper()
		r := engines.Try(t, d.Command(append([]string{"probe", s, "--json"}, flags...)...))
		if r.Code != code {
			t.Fatalf("probe: exit code %d, want %d\n%s", r.Code, code, r.Stderr)
		}
		return d.decode(r.Stdout)
	}
	allMissed := func(got lab.Image, layers int, why string) {
		t.Helper()
		if len(got.Misses) != layers {
			t.Errorf("%d misses, want %d: %+v", len(got.Misses), layers, got.Misses)
		}
		for i, m := range got.Misses {
			if m.Layer != i || m.Why != why || (i < layers-1) != (len(m.Paths) > 0 && m.Size > 0) {
				t.Errorf("miss %+v, want %q", m, why)
			}
		}
	}

	s := write(nil)
	layers := len(d.decode(d.Run("plan", s, "--json")).Layers) + 1
	allMissed(probe(s, lab.ExitNotCached), layers, "never built")
	_, plain := d.build(s, "image.tar")
	compareProbe(t, probe(s, 0), plain)

	allMissed(probe(s, lab.ExitNotCached, "--layer-compression", "gzip"), layers, "never compressed")
	_, gzipped := d.build(s, "image.tar", "--layer-compression", "gzip")
	compareProbe(t, probe(s, 0, "--layer-compression", "gzip"), gzipped)
	allMissed(probe(s, lab.ExitNotCached, "--layer-compression", "gzip:9"), layers, "codec changed")
	compareProbe(t, probe(s, 0), plain)

	// Labels and environment make another image of the same layers, and the
	// tag none.
	s = write(spec{"labels": spec{"a": "b"}, "config": spec{"Env": []string{"A=B"}}})
	if other := probe(s, 0); other.Digest == plain.Digest || len(other.Layers) != len(plain.Layers) {
		t.Errorf("with a label the image is %s, without %s", other.Digest, plain.Digest)
	}
	if tagged := probe(write(spec{"tag": "v2"}), 0); tagged.Digest != plain.Digest {
		t.Errorf("with a tag the image is %s, without %s", tagged.Digest, plain.Digest)
	}

	d.Run("cache", "gc", "--older-than", "1ns")
	allMissed(probe(write(nil), lab.ExitNotCached), layers, "evicted")
}

// TestProbeErrorsAreNoMisses: what is broken has another exit code than what is
// not known.
func TestProbeErrorsAreNoMisses(t *testing.T) {
	d := newDesk(t)
	for name, file := range map[string]string{
		"no such spec":   d.Path("absent.json"),
		"malformed spec": d.Write("{", "malformed.json"),
		"unknown path":   d.Write(`{"name":"x","contents":["/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-absent"]}`, "unknown.json"),
	} {
		r := engines.Try(t, lab.WithoutNix(d.Command("probe", file, "--json")))
		if r.Code == 0 || r.Code == lab.ExitNotCached || r.Stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", name, r.Code, r.Stdout, r.Stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(d.Path("cache"), "terrine", "blobs")); err == nil {
		if n := len(d.cached()); n != 0 {
			t.Errorf("probe fills the cache with %d files", n)
		}
	}
}
