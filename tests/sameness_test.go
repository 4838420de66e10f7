package tests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
	"terrine/tests/need"
)

// circumstance is something that the bytes of an image must not depend on.
type circumstance struct {
	name string
	// build makes the image of a spec and returns the sha256 of the archive.
	build func(t *testing.T, d *desk, s string) string
}

// TestSameBytes builds one image under every circumstance that DESIGN.md names
// and compares the archives.
func TestSameBytes(t *testing.T) {
	lab.EndToEnd(t)
	top := fixtures.Debian(t, fixtures.Small...)
	odd := fixtures.Build(t, "everything")[0]
	hello := fixtures.Build(t, "hello")[0]
	s := spec{"name": "same", "tag": "v1", "contents": []string{top, hello}, "fakeNss": true, "tmp": true,
		"config": spec{"Cmd": []string{odd}}}
	plain := newDesk(t)
	archive, _ := plain.build(s, "image.tar")
	want := lab.FileDigest(t, archive)
	for _, c := range circumstances() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			if got := c.build(t, d, d.WriteSpec(s)); got != want {
				t.Errorf("the archive has the sha256 %s, want %s", got, want)
			}
		})
	}
}

func circumstances() []circumstance {
	var all []circumstance
	add := func(name string, build func(t *testing.T, d *desk, s string) string) {
		all = append(all, circumstance{name, build})
	}
	for _, j := range []string{"1", "2", "16"} {
		add(j+" workers", func(t *testing.T, d *desk, s string) string { return d.digest(d.Command("build", s, "-j", j)) })
		add(j+" workers to a pipe", func(t *testing.T, d *desk, s string) string { return d.digestPiped(s, "-j", j) })
	}
	environment := func(name string, variables ...string) {
		add(name, func(t *testing.T, d *desk, s string) string {
			cmd := d.Command("build", s)
			cmd.Env = append(cmd.Env, variables...)
			return d.digest(cmd)
		})
	}
	environment("time zone", "TZ=Pacific/Kiritimati")
	environment("locale", "LC_ALL=tr_TR.UTF-8", "LANG=C", "LANGUAGE=de")
	environment("one processor", "GOMAXPROCS=1")
	environment("no colour", "NO_COLOR=1", "TERM=dumb", "COLUMNS=10")
	for _, mask := range []string{"000", "077"} {
		add("umask "+mask, func(t *testing.T, d *desk, s string) string {
			return d.digest(wrapped(d.Command("build", s), "/bin/sh", "-c", `umask "$0" && exec "$@"`, mask))
		})
	}
	add("working directory", func(t *testing.T, d *desk, s string) string {
		cmd := d.Command("build", s)
		cmd.Dir = "/"
		return d.digest(cmd)
	})
	add("warm cache", func(t *testing.T, d *desk, s string) string {
		d.digest(d.Command("build", s))
		// An output that is there already might be left as it is.
		if err := os.Remove(d.Path("out", "image.tar")); err != nil {
			t.Fatal(err)
		}
		return d.digest(d.Command("build", s))
	})
	add("warm cache to a pipe", func(t *testing.T, d *desk, s string) string {
		d.digest(d.Command("build", s))
		return d.digestPiped(s)
	})
	add("another user", anotherUser)
	add("optimised store", optimisedStore)
	add("files linked and unlinked meanwhile", linksMeanwhile)
	add("store paths added meanwhile", pathsMeanwhile)
	return all
}

// digest runs a build, which is to say a command that lacks its -o, and
// returns the sha256 of the archive.
func (d *desk) digest(build *exec.Cmd) string {
	d.t.Helper()
	file := d.Path("out", "image.tar")
	build.Args = append(build.Args, "-o", file, "--quiet")
	engines.Run(d.t, build)
	return lab.FileDigest(d.t, file)
}

// digestPiped builds to a pipe and returns the sha256 of what comes out.
func (d *desk) digestPiped(s string, flags ...string) string {
	d.t.Helper()
	h := sha256.New()
	// A writer that is no file: os/exec puts a pipe before it.
	cmd := d.Command(append([]string{"build", s, "-o", "-", "--quiet"}, flags...)...)
	cmd.Stdout = h
	if r := engines.Try(d.t, cmd); r.Code != 0 {
		d.t.Fatalf("build to a pipe: exit code %d\n%s", r.Code, r.Stderr)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// wrapped returns cmd as it runs by another program, which comes with its first
// arguments.
func wrapped(cmd *exec.Cmd, program ...string) *exec.Cmd {
	outer := exec.Command(program[0], append(program[1:], cmd.Args...)...)
	outer.Env, outer.Dir = cmd.Env, cmd.Dir
	return outer
}

// anotherUser builds as nobody, who may not ask nix: the closure comes from
// nix's registration text.
func anotherUser(t *testing.T, d *desk, s string) string {
	need.Programs(t, "setpriv")
	need.Root(t)
	closure := d.registrationOf(s)
	for _, dir := range []string{"home", "cache", "data", "out"} {
		if err := os.Chown(d.Path(dir), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	traversable(t, d.Dir)
	build := d.Command("build", s, "--closure", closure)
	return d.digest(wrapped(build, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"))
}

// traversable lets every user down to dir, from the lab's own directory.
func traversable(t *testing.T, dir string) {
	t.Helper()
	for ; dir != shared.Dir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// registrationOf writes what nix has registered of the closure of the paths that
// a spec mentions, and returns the file.
func (d *desk) registrationOf(s string) string {
	d.t.Helper()
	return d.Registration(storePaths(string(readFile(d.t, s)))...)
}

// storePaths returns the store paths in a text.
func storePaths(text string) []string {
	var paths []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == '"' }) {
		if base, ok := strings.CutPrefix(word, "/nix/store/"); ok {
			base, _, _ = strings.Cut(base, "/")
			paths = append(paths, "/nix/store/"+base)
		}
	}
	return paths
}

// optimisedStore builds from a copy of the closure in which nix has replaced
// equal files by hardlinks, in a mount namespace where it stands at /nix.
func optimisedStore(t *testing.T, d *desk, s string) string {
	need.Programs(t, "unshare", "nix-store")
	need.Root(t)
	const script = `
		nix-store --export $closure >"$dir/export"
		mkdir "$dir/nix"
		mount --bind "$dir/nix" /nix
		nix-store --option require-sigs false --import <"$dir/export" >/dev/null
		nix-store --optimise
		find /nix/store -type f -links +2 | grep -q . # or nothing has been optimised
		exec "$@"`
	cmd := wrapped(d.Command("build", s), "unshare", "--mount", "/bin/sh", "-euc", script, "sh")
	closure := engines.Closure(t, storePaths(string(readFile(t, s)))...)
	cmd.Env = append(cmd.Env, "dir="+d.Dir, "closure="+strings.Join(closure, " "))
	return d.digest(cmd)
}

// linksMeanwhile builds while another process does to the files what an
// optimisation of the store does: it links and unlinks them.
func linksMeanwhile(t *testing.T, d *desk, s string) string {
	closure := engines.Closure(t, storePaths(string(readFile(t, s)))...)
	var files []string
	for _, p := range closure {
		err := filepath.WalkDir(p, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	stop := meanwhile(t, func(ctx context.Context) error {
		for i := 0; ctx.Err() == nil; i++ {
			link := filepath.Join(dir, "link")
			if err := errors.Join(os.Link(files[i%len(files)], link), os.Remove(link)); err != nil {
				return err
			}
		}
		return nil
	})
	defer stop()
	// Several times, so that many files are linked at the wrong moment.
	var got string
	for range 3 {
		got = d.digest(d.Command("build", s))
	}
	return got
}

// pathsMeanwhile builds while paths come and go in the store.
func pathsMeanwhile(t *testing.T, d *desk, s string) string {
	need.Programs(t, "nix-store")
	need.Root(t)
	file := d.Path("coming-and-going")
	stop := meanwhile(t, func(ctx context.Context) error {
		for i := 0; ctx.Err() == nil; i++ {
			if err := os.WriteFile(file, []byte{byte(i)}, 0o600); err != nil {
				return err
			}
			add := exec.Command("nix-store", "--add", file)
			add.Env = d.Environment()
			path, err := add.Output()
			if err != nil {
				return err
			}
			remove := exec.Command("nix-store", "--delete", strings.TrimSpace(string(path)))
			remove.Env = d.Environment()
			if err := remove.Run(); err != nil {
				return err
			}
		}
		return nil
	})
	defer stop()
	return d.digest(d.Command("build", s))
}

// meanwhile runs f beside the test until the function that it returns is
// called, or f fails, which is an error of the test.
func meanwhile(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := f(ctx); err != nil {
			t.Error(err)
		}
	})
	return func() {
		cancel()
		group.Wait()
	}
}
