package memo

import (
	"errors"
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

// probe calls probe --json, which must end with the code given.
func (d *desk) probe(specFile string, code int, flags ...string) (lab.Image, engines.Result) {
	d.t.Helper()
	r := engines.Try(d.t, lab.WithoutNix(d.Command(append([]string{"probe", specFile, "--json"}, flags...)...)))
	if r.Code != code {
		d.t.Fatalf("probe: exit code %d, want %d\n%s", r.Code, code, r.Stderr)
	}
	if code != 0 && code != lab.ExitNotCached {
		return lab.Image{}, r
	}
	return d.decode(r.Stdout), r
}

// helloDesk returns a desk with the spec of a small image, and what a build into
// image.tar.gz says of it.
func helloDesk(t *testing.T) (*desk, string, lab.Image) {
	t.Helper()
	d := newDesk(t)
	hello := fixtures.Build(t, "hello")[0]
	d.Import(hello)
	s := d.WriteSpec(spec{"name": "damage", "contents": []string{hello}, "maxLayers": 4})
	_, built := d.build(s, "image.tar.gz")
	return d, s, built
}

// TestProbeTellsDamage: files of the cache that are cut, grown, gone, or that cache
// verify or a build has found damaged are told as damaged, without being opened,
// until a build has made them again; the digest is known all the while.
func TestProbeTellsDamage(t *testing.T) {
	d, s, built := helloDesk(t)
	sound, _ := d.probe(s, 0)
	compareProbe(t, sound, built)
	if len(sound.Damaged) != 0 {
		t.Fatalf("damage of a sound cache: %+v", sound.Damaged)
	}
	files := slices.Sorted(maps.Keys(d.cached()))
	for name, damage := range map[string]func(file string) error{
		"cut":   func(file string) error { return os.Truncate(file, 5) },
		"empty": func(file string) error { return os.Truncate(file, 0) },
		"grown": func(file string) error { return os.Truncate(file, 1<<20) },
		"gone":  os.Remove,
		"found by verify": func(file string) error {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			text[0] ^= 1
			if err := os.WriteFile(file, text, 0o600); err != nil {
				return err
			}
			d.Run("cache", "verify")
			return nil
		},
	} {
		for _, file := range files {
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
		}
		cmd, log := d.traced(lab.WithoutNix(d.Command("probe", s, "--json")))
		probed := d.decode(engines.Run(t, cmd))
		compareProbe(t, probed, built)
		if len(probed.Damaged) != len(files) {
			t.Errorf("%s: %d losses of %d files: %+v", name, len(probed.Damaged), len(files), probed.Damaged)
		}
		for _, l := range probed.Damaged {
			if !strings.HasPrefix(l.Why, "damaged: ") || l.Size == 0 || !slices.Contains(built.Layers[l.Layer].Paths, l.Path) {
				t.Errorf("%s: loss %+v", name, l)
			}
		}
		for _, line := range touching(t, log, d.Path("cache", "terrine", "blobs")) {
			if strings.Contains(line, "open") {
				t.Errorf("%s: probe opens a file of the cache: %s", name, line)
			}
		}
		if r := engines.Try(t, d.Command("probe", s)); r.Code != 0 || !strings.Contains(r.Stderr, "(damaged: ") {
			t.Errorf("%s: exit code %d: %s", name, r.Code, r.Stderr)
		}
		d.build(s, "image.tar.gz")
		if mended, _ := d.probe(s, 0); len(mended.Damaged) != 0 {
			t.Errorf("%s: after a build: %+v", name, mended.Damaged)
		}
	}

	// What was evicted is not damaged.
	d.Run("cache", "gc", "--max-size", "1")
	if left := d.cached(); len(left) != 0 {
		t.Fatalf("%d files are left", len(left))
	}
	if evicted, _ := d.probe(s, 0); len(evicted.Damaged) != 0 {
		t.Errorf("evicted: %+v", evicted.Damaged)
	}
}

// TestProbeAfterTheMemoWasLost: a damaged database is no miss but an error; the
// build that begins it anew leaves the layers of other images as damaged, not as
// never built; and what was never built is told so.
func TestProbeAfterTheMemoWasLost(t *testing.T) {
	d, s, built := helloDesk(t)
	other := d.Write(`{"name":"other","contents":[{"path":"./tree","name":"tree"}]}`, "other", "image.json")
	d.Write("text", "other", "tree", "file")
	never := d.Write(`{"name":"never","contents":[{"path":"./tree","name":"never"}]}`, "never", "image.json")
	d.Write("another text", "never", "tree", "file")
	d.build(other, "other.tar")

	db := d.Path("cache", "terrine", "db.bolt")
	text, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(text), `{"diffID":"sha256:`)
	if at < 0 {
		t.Fatal("the database holds no layer")
	}
	text[at+30] ^= 1
	if err := os.WriteFile(db, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, r := d.probe(s, lab.ExitStoreDamaged); r.Stdout != "" || !strings.Contains(r.Stderr, "terrine cache clear") {
		t.Errorf("probe prints %q, says %s", r.Stdout, r.Stderr)
	}
	if r := engines.Try(t, d.Command("build", other, "-o", d.Path("out", "other.tar"), "--force")); r.Code != 0 || !strings.Contains(r.Stderr, "begun anew") {
		t.Errorf("build: exit code %d: %s", r.Code, r.Stderr)
	}
	for file, why := range map[string]string{s: "damaged", never: "never built"} {
		missed, _ := d.probe(file, lab.ExitNotCached)
		if len(missed.Misses) == 0 || missed.Digest != "" {
			t.Errorf("%s: %+v", file, missed)
		}
		for _, m := range missed.Misses {
			if m.Why != why {
				t.Errorf("%s: layer %d is missed for %q, want %q", file, m.Layer, m.Why, why)
			}
		}
	}
	d.build(s, "image.tar.gz")
	again, _ := d.probe(s, 0)
	compareProbe(t, again, built)
}

// TestProbeErrorsOfTheCache: a cache that cannot be read is no cache that knows
// nothing.
func TestProbeErrorsOfTheCache(t *testing.T) {
	d, s, _ := helloDesk(t)
	cache := d.Path("cache", "terrine")
	for name, test := range map[string]struct {
		prepare func() (flags []string, err error)
		code    int
	}{
		"a file": {func() ([]string, error) {
			return []string{"--cache-dir", d.Write("", "file")}, nil
		}, lab.ExitFailed},
		"a database that is a directory": {func() ([]string, error) {
			dir := d.Path("directory")
			if err := os.CopyFS(dir, os.DirFS(cache)); err != nil {
				return nil, err
			}
			db := filepath.Join(dir, "db.bolt")
			return []string{"--cache-dir", dir}, errors.Join(os.Remove(db), os.Mkdir(db, 0o755))
		}, lab.ExitStoreDamaged},
		"an empty database": {func() ([]string, error) {
			dir := d.Path("emptied")
			if err := os.CopyFS(dir, os.DirFS(cache)); err != nil {
				return nil, err
			}
			return []string{"--cache-dir", dir}, os.Truncate(filepath.Join(dir, "db.bolt"), 0)
		}, lab.ExitStoreDamaged},
		"no database, where there was one": {func() ([]string, error) {
			dir := d.Path("robbed")
			if err := os.CopyFS(dir, os.DirFS(cache)); err != nil {
				return nil, err
			}
			return []string{"--cache-dir", dir}, os.Remove(filepath.Join(dir, "db.bolt"))
		}, lab.ExitStoreDamaged},
		"compression": {func() ([]string, error) { return []string{"--layer-compression", "lzma"}, nil }, lab.ExitUsage},
		"closure": {func() ([]string, error) {
			return []string{"--closure", d.Write("{", "closure.json")}, nil
		}, lab.ExitRefused},
	} {
		flags, err := test.prepare()
		if err != nil {
			t.Fatal(err)
		}
		if _, r := d.probe(s, test.code, flags...); r.Stdout != "" || r.Stderr == "" {
			t.Errorf("%s: prints %q, says %q", name, r.Stdout, r.Stderr)
		}
	}
	cmd := lab.WithoutNix(d.Command("probe", s))
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool {
		return strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "XDG_CACHE_HOME=")
	})
	if r := engines.Try(t, cmd); r.Code != lab.ExitUsage {
		t.Errorf("without a cache: exit code %d: %s", r.Code, r.Stderr)
	}

	// One that cannot be written is as good as any.
	need.Programs(t, "unshare", "mount")
	need.Root(t)
	inner := lab.WithoutNix(d.Command("probe", s))
	if r := engines.Try(t, readOnly(t, inner, d.Path("cache"))); r.Code != 0 {
		t.Errorf("read-only: exit code %d: %s", r.Code, r.Stderr)
	}
}

// readOnly has a command see a directory that takes no writing.
func readOnly(t *testing.T, inner *exec.Cmd, dir string) *exec.Cmd {
	t.Helper()
	const script = `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), unshare, append([]string{"--mount", "/bin/sh", "-euc", "PATH=" + os.Getenv("PATH") + "; " + script, dir}, inner.Args...)...)
	cmd.Env, cmd.Dir = inner.Env, inner.Dir
	return cmd
}
