package tests

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"terrine/tests/engines"
	"terrine/tests/lab"
	"terrine/tests/need"
)

// fails runs a command that must fail, soon, with a code, and with every word
// in its error message. Its standard output must stay empty.
func (d *desk) fails(code int, words []string, args ...string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	r := engines.Try(d.t, d.CommandContext(ctx, args...))
	if r.Code != code {
		d.t.Errorf("exit code %d, want %d", r.Code, code)
	}
	if r.Stdout != "" {
		d.t.Errorf("it prints %q", r.Stdout)
	}
	if !strings.HasPrefix(r.Stderr, "error: ") && !strings.Contains(r.Stderr, "\nerror: ") {
		d.t.Errorf("no line of the message begins with error: %q", r.Stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.Stderr, w) {
			d.t.Errorf("the message does not say %q: %q", w, r.Stderr)
		}
	}
}

// TestSpecialFiles puts files that no image may have into objects of a store,
// behind its back, and into directories that are to be added to one.
func TestSpecialFiles(t *testing.T) {
	lab.EndToEnd(t)
	kinds := []struct {
		name, file string
		make       func(path string) error
		storable   bool // a store may hold it, only an image may not
	}{
		{"FIFO", "a-fifo", mkfifo, false},
		{"socket", "a-socket", listen, false},
		{"device", "a-device", func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))) }, false},
		{"whiteout", ".wh.other", func(p string) error { return os.WriteFile(p, nil, 0o644) }, true},
		{"opaque whiteout", ".wh..wh..opq", func(p string) error { return os.WriteFile(p, nil, 0o644) }, true},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			if k.name == "device" {
				need.Root(t)
			}
			d := newDesk(t)
			d.Write("content", "tree", "below", "file")
			sound := d.Add(d.Path("tree"), "--name", "sound")
			place := d.inStore(sound, "below")
			if err := errors.Join(os.Chmod(place, 0o755), k.make(filepath.Join(place, k.file))); err != nil {
				t.Fatal(err)
			}
			s := d.WriteSpec(spec{"name": "special", "config": spec{"Cmd": []string{sound + "/below/file"}}})
			for _, output := range []string{"image.tar", "image.tar.gz"} {
				d.fails(lab.ExitRefused, []string{sound + "/below/" + k.file}, "build", s, "-o", d.Path("out", output))
			}
			d.fails(lab.ExitRefused, []string{sound + "/below/" + k.file}, "build", s, "-o", "-")
			d.leavesNothing()
			if !k.storable {
				if err := k.make(d.Path("tree", "below", k.file)); err != nil {
					t.Fatal(err)
				}
				d.fails(lab.ExitRefused, []string{k.file}, "store", "add", d.Path("tree"))
			}
		})
	}
}

// listen leaves a socket at path. Its address is relative, because an address
// has no more than 107 bytes.
func listen(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path))})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// TestBadInput gives terrine what it cannot use. Nothing is to be left at or
// beside the output, and what stands there already is to stay.
func TestBadInput(t *testing.T) {
	lab.EndToEnd(t)
	absent := "/nix/store/" + strings.Repeat("0", 32) + "-absent"
	cases := []struct {
		name  string
		spec  string
		args  []string
		code  int
		words []string
	}{
		{"no JSON", `{"name": "x",`, nil, lab.ExitRefused, []string{"image.json:1:"}},
		{"unknown field", "{\n\"name\": \"x\",\n\"nmae\": 1}", nil, lab.ExitRefused, []string{"image.json:3:", "nmae"}},
		{"wrong type", `{"name": 17}`, nil, lab.ExitRefused, []string{"image.json:1:", "name"}},
		{"no name", `{}`, nil, lab.ExitRefused, []string{"name"}},
		{"bad name", `{"name": "a b"}`, nil, lab.ExitRefused, []string{"a b"}},
		{"bad tag", `{"name": "x", "tag": "a/b"}`, nil, lab.ExitRefused, []string{"tag"}},
		{"too many layers", `{"name": "x", "maxLayers": 126}`, nil, lab.ExitRefused, []string{"maxLayers", "125"}},
		{"one layer", `{"name": "x", "maxLayers": 1}`, nil, lab.ExitRefused, []string{"maxLayers"}},
		{"no store path", `{"name": "x", "contents": ["/nix/store/short-x"]}`, nil, lab.ExitRefused, []string{"contents", "short-x"}},
		{"absent store path", `{"name": "x", "contents": ["` + absent + `"]}`, nil, lab.ExitRefused, []string{absent}},
		{"absent directory", `{"name": "x", "contents": [{"path": "./nowhere"}]}`, nil, lab.ExitFailed, []string{"nowhere"}},
		{"absent source", `{"name": "x", "files": {"/a": {"source": "./nowhere"}}}`, nil, lab.ExitFailed, []string{"nowhere"}},
		{"file outside", `{"name": "x", "files": {"/../a": {"text": ""}}}`, nil, lab.ExitRefused, []string{"/../a"}},
		{"unknown strategy", `{"name": "x", "layering": {"strategy": "astrology"}}`, nil, lab.ExitRefused, []string{"astrology", "update-cost"}},
		{"bad date", `{"name": "x", "created": "yesterday"}`, nil, lab.ExitRefused, []string{"created", "yesterday"}},
		{"absent closure", `{"name": "x"}`, []string{"--closure", "nowhere.json"}, lab.ExitFailed, []string{"nowhere.json"}},
		{"closure that is no closure", `{"name": "x"}`, []string{"--closure", "image.json#graph"}, lab.ExitRefused, []string{"image.json"}},
		{"unknown ending", `{"name": "x"}`, []string{"-o", "out/image.zip"}, lab.ExitUsage, []string{"image.zip"}},
		{"unknown flag", `{"name": "x"}`, []string{"--frobnicate"}, lab.ExitUsage, []string{"--frobnicate"}},
		{"no workers", `{"name": "x"}`, []string{"-j", "-1"}, lab.ExitUsage, []string{"-1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.Write(c.spec, "image.json")
			d.Write("the image of yesterday", "out", "image.tar")
			d.fails(c.code, c.words, append([]string{"build", "image.json", "-o", "out/image.tar"}, c.args...)...)
			d.leavesNothing("image.tar")
			if text := readFile(t, d.Path("out", "image.tar")); string(text) != "the image of yesterday" {
				t.Errorf("the file that was there now has %d other bytes", len(text))
			}
		})
	}
}

// TestOutputNowhere writes to places where nothing can be written.
func TestOutputNowhere(t *testing.T) {
	d := newDesk(t)
	s := d.WriteSpec(spec{"name": "x"})
	r := engines.Try(t, d.Command("build", s, "-o", d.Path("no", "such", "directory", "image.tar")))
	if r.Code == 0 || !strings.Contains(r.Stderr, d.Path("no", "such", "directory")) {
		t.Errorf("exit code %d, %q, for a directory that is not there", r.Code, r.Stderr)
	}
	if err := os.Mkdir(d.Path("out", "image.tar"), 0o755); err != nil {
		t.Fatal(err)
	}
	r = engines.Try(t, d.Command("build", s, "-o", d.Path("out", "image.tar")))
	if r.Code == 0 || !strings.Contains(r.Stderr, d.Path("out", "image.tar")) {
		t.Errorf("exit code %d, %q, for an output that is a directory", r.Code, r.Stderr)
	}
	d.leavesNothing("image.tar")
}
