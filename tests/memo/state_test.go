package memo

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
	"terrine/tests/need"
)

// smallDesk returns a desk with the spec of an image of Debian packages, which
// are in a store of its own, and the closure.
func smallDesk(t *testing.T) (d *desk, specFile string, closure []string) {
	t.Helper()
	d = newDesk(t)
	top := fixtures.Debian(t, fixtures.Small...)
	d.Import(top)
	return d, d.WriteSpec(spec{"name": "small", "config": spec{"Cmd": []string{top}}}), engines.Closure(t, top)
}

// TestStateOfTheCacheDoesNotShow builds a real closure in every form with the
// cache off, cold, warm, half evicted and warm with what other forms left.
func TestStateOfTheCacheDoesNotShow(t *testing.T) {
	d, s, _ := smallDesk(t)
	for name, flags := range forms() {
		states := []string{"cold", "half evicted", "piped"}
		if name == "image.tar.gz" {
			states = []string{"cold", "warm", "half evicted", "warm again", "of one worker", "piped"}
		}
		file, _ := d.build(s, name, append(flags, "--no-cache")...)
		want := lab.FileDigest(t, file)
		for _, state := range states {
			if got := d.digestIn(state, s, name, flags); got != want {
				t.Errorf("%s, cache %s: it has the sha256 %s, without a cache %s", name, state, got, want)
			}
		}
	}
}

// digestIn builds in a state of the cache and returns the digest of the archive.
func (d *desk) digestIn(state, specFile, name string, flags []string) string {
	d.t.Helper()
	flags = slices.Clone(flags)
	switch state {
	case "half evicted":
		for i, file := range slices.Sorted(maps.Keys(d.cached())) {
			if i%2 == 1 {
				continue
			}
			if err := os.Remove(file); err != nil {
				d.t.Fatal(err)
			}
		}
	case "of one worker":
		flags = append(flags, "-j", "1")
	case "piped":
		return d.piped(specFile, name, flags)
	}
	file, _ := d.build(specFile, name, flags...)
	return lab.FileDigest(d.t, file)
}

// piped builds to a pipe what name would be, and returns its digest.
func (d *desk) piped(specFile, name string, flags []string) string {
	d.t.Helper()
	compression := map[string]string{".gz": "gzip", ".zst": "zstd", ".tar": "none"}[filepath.Ext(name)]
	cmd := d.Command(append([]string{"build", specFile, "-o", "-", "--quiet", "--compression", compression}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	sum := lab.Digest(d.t, out)
	if err := cmd.Wait(); err != nil {
		d.t.Fatalf("build %s to a pipe: %v\n%s", name, err, said.String())
	}
	return sum
}

// TestOneChangedPath: after one path of many has changed, the cache gains what
// belongs to that path, and nothing that it has is made again.
func TestOneChangedPath(t *testing.T) {
	d := newDesk(t)
	top := fixtures.Debian(t, fixtures.Small...)
	d.Import(top)
	version := func(n string) string {
		dir := d.Path("app-"+n, "app")
		d.Write("version "+n+"\n", "app-"+n, "app", "share", "version")
		d.Write(strings.Repeat("the same in both\n", 1000)+top, "app-"+n, "app", "share", "refers")
		return d.WriteSpec(spec{"name": "app", "config": spec{"Cmd": []string{d.Add(dir, "--name", "app")}}})
	}
	d.build(version("1"), "image.tar.gz")
	before := d.cached()
	file, _ := d.build(version("2"), "image.tar.gz")
	after := d.cached()
	for name, sum := range before {
		if after[name] != sum {
			t.Errorf("%s of the cache has changed", name)
		}
	}
	// Its scaffold and its compressed parts.
	if gained := newIn(before, after); len(gained) != 2 {
		t.Errorf("the cache gained %d files of %d: %q", len(gained), len(after), gained)
	}
	if fresh, _ := d.build(d.Path("image.json"), "fresh.tar.gz", "--no-cache"); lab.FileDigest(t, fresh) != lab.FileDigest(t, file) {
		t.Error("the archive differs from one that was made without a cache")
	}
}

// TestDamagedEntries: what is damaged is named, dropped and made anew (S49).
func TestDamagedEntries(t *testing.T) {
	d, s, _ := smallDesk(t)
	file, _ := d.build(s, "image.tar.gz")
	want, whole := lab.FileDigest(t, file), d.cached()
	victims := slices.Sorted(maps.Keys(whole))[:3]
	for i, victim := range victims {
		text, err := os.ReadFile(victim)
		if err != nil {
			t.Fatal(err)
		}
		switch i {
		case 0:
			text[len(text)/2] ^= 1
		case 1:
			text = text[:len(text)/2]
		case 2:
			text = nil
		}
		if err := os.WriteFile(victim, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := engines.Try(t, d.Command("build", s, "-o", file, "--force"))
	if r.Code != 0 || lab.FileDigest(t, file) != want {
		t.Errorf("exit code %d, or other bytes: %s", r.Code, r.Stderr)
	}
	for _, victim := range victims {
		if strings.Count(r.Stderr, victim) != 1 {
			t.Errorf("%s is not named once in:\n%s", victim, r.Stderr)
		}
	}
	// Of many parts those that are whole were used, and no file made: that is for the
	// next build, which reads all of the path.
	d.Run("build", s, "-o", file, "--force")
	if now := d.cached(); len(newIn(whole, now))+len(newIn(now, whole)) != 0 || now[victims[0]] != whole[victims[0]] {
		t.Errorf("the cache has %d files, before the damage it had %d", len(now), len(whole))
	}

	// The database as well.
	if err := os.Truncate(d.Path("cache", "terrine", "db.bolt"), 5000); err != nil {
		t.Fatal(err)
	}
	r = engines.Try(t, d.Command("build", s, "-o", file, "--force"))
	if r.Code != 0 || lab.FileDigest(t, file) != want || !strings.Contains(r.Stderr, "damaged") {
		t.Errorf("exit code %d, or other bytes, or not said: %s", r.Code, r.Stderr)
	}
	d.Run("probe", s)
}

// TestCacheThatCannotBeWritten builds with a cache on a file system that is full,
// or takes no writing: the build goes on, and says so once.
func TestCacheThatCannotBeWritten(t *testing.T) {
	need.Programs(t, "unshare", "mount")
	need.Root(t)
	d, s, _ := smallDesk(t)
	file, _ := d.build(s, "image.tar.gz", "--no-cache")
	want := lab.FileDigest(t, file)
	for name, script := range map[string]string{
		"full":                 `mount -t tmpfs -o size=1m none "$0" && exec "$@"`,
		"full at once":         `mount -t tmpfs -o size=4k none "$0" && exec "$@"`,
		"read-only and empty":  `mount -t tmpfs -o ro none "$0" && exec "$@"`,
		"read-only and filled": `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			if name == "read-only and filled" {
				// Of another layout, so that there is something to remember.
				d.build(s, "other.tar.gz", "--max-layers", "3")
			}
			for _, output := range []string{"image.tar.gz", "image.tar"} {
				inner := d.Command("build", s, "-o", d.Path("out", output), "--force")
				line := append([]string{"--mount", "/bin/sh", "-euc", script, d.Path("cache")}, inner.Args...)
				cmd := exec.CommandContext(t.Context(), "unshare", line...)
				cmd.Env, cmd.Dir = inner.Env, inner.Dir
				r := engines.Try(t, cmd)
				if r.Code != 0 {
					t.Fatalf("%s: exit code %d: %s", output, r.Code, r.Stderr)
				}
				want := 1
				if name == "full" && output == "image.tar" {
					want = 0 // there is room for scaffolds
				}
				if said := linesWith(r.Stderr, "cache"); len(said) != want {
					t.Errorf("%s: it says so in %d lines: %q", output, len(said), r.Stderr)
				}
			}
			if lab.FileDigest(t, file) != want {
				t.Error("other bytes than without a cache")
			}
		})
	}
}

func linesWith(text, word string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			lines = append(lines, line)
		}
	}
	return lines
}
