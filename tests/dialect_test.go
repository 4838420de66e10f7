package tests

import (
	"archive/tar"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
	"terrine/tests/lab"
	"terrine/tests/need"
)

// TestTarReaders has the layers of an image with every odd name unpacked by the
// tar readers that differ most, without an engine between.
func TestTarReaders(t *testing.T) {
	lab.EndToEnd(t)
	need.Root(t)
	blobs, closure := oddLayers(t)
	for name, command := range map[string][]string{
		"tar":     {"tar", "-x", "-p", "-f"},
		"bsdtar":  {"bsdtar", "-x", "-p", "-f"},
		"busybox": {"busybox", "tar", "-x", "-p", "-f"},
		"python":  {"python3", "-c", pythonUntar},
	} {
		t.Run(name, func(t *testing.T) {
			need.Programs(t, command[0])
			root := t.TempDir()
			for _, b := range blobs {
				unpack := exec.Command(command[0], append(slices.Clone(command[1:]), b, "-C", root)...)
				// bsdtar wants a locale in which any byte is a character.
				unpack.Env = append(os.Environ(), "LC_ALL=C")
				if r := engines.Try(t, unpack); r.Code != 0 || r.Stderr != "" {
					t.Errorf("%s: exit code %d: %s", unpack, r.Code, r.Stderr)
				}
			}
			engines.CheckNARs(t, root, closure)
			onlyClosure(t, root, closure)
		})
	}
}

// pythonUntar takes its arguments as tar -xf. Newer releases of Python leave
// links to / out, unless that is asked for.
const pythonUntar = `import sys, tarfile
tarfile.TarFile.extraction_filter = staticmethod(lambda member, path: member)
tarfile.open(sys.argv[1]).extractall(sys.argv[3])`

// oddLayers returns the files with the layers, all uncompressed, of an image of
// the fixture everything, and its closure.
func oddLayers(t *testing.T) (blobs, closure []string) {
	t.Helper()
	d := newDesk(t)
	top := fixtures.Build(t, "everything")[0]
	archive, sum := d.build(spec{"name": "odd", "config": spec{"Cmd": []string{top}}}, "image.tar")
	dir := spread(t, archive)
	for _, l := range sum.Layers {
		blobs = append(blobs, filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(l.Digest, "sha256:")))
	}
	return blobs, engines.Closure(t, top)
}

// TestTarDialect tests every header of the layers against the rules that the
// bytes rest on: what is written, in which order, and nothing beside.
func TestTarDialect(t *testing.T) {
	lab.EndToEnd(t)
	blobs, _ := oddLayers(t)
	for i, b := range blobs {
		root := i == len(blobs)-1
		var names []string
		for h := range headers(t, b) {
			checkHeader(t, h, root)
			names = append(names, h.Name)
		}
		checkNames(t, names, root)
	}
}

// headers yields the headers of a tar.
func headers(t *testing.T, file string) func(yield func(*tar.Header) bool) {
	t.Helper()
	return func(yield func(*tar.Header) bool) {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("read %s: %v", file, err)
			}
			if !yield(h) {
				return
			}
		}
	}
}

// checkHeader tests one header. The modes of the root layer are the spec's.
func checkHeader(t *testing.T, h *tar.Header, root bool) {
	t.Helper()
	if h.Uid != 0 || h.Gid != 0 || h.Uname != "root" || h.Gname != "root" || !h.ModTime.Equal(time.Unix(1, 0)) {
		t.Errorf("%q belongs to %d %q, %d %q, modified %v", h.Name, h.Uid, h.Uname, h.Gid, h.Gname, h.ModTime)
	}
	modes := map[byte][]int64{tar.TypeReg: {0o444, 0o555}, tar.TypeDir: {0o555}, tar.TypeSymlink: {0o777}}
	allowed, known := modes[h.Typeflag]
	if h.Name == "nix/" || h.Name == "nix/store/" {
		allowed = []int64{0o755}
	}
	if !known || (!root && !slices.Contains(allowed, h.Mode)) {
		t.Errorf("%q has the type %c and the mode %o", h.Name, h.Typeflag, h.Mode)
	}
	if strings.HasPrefix(h.Name, "/") || strings.HasPrefix(h.Name, "./") || strings.HasSuffix(h.Name, "/") != (h.Typeflag == tar.TypeDir) {
		t.Errorf("%q of type %c is not called as it should be", h.Name, h.Typeflag)
	}
	// Only what ustar cannot hold may be said in records of PAX.
	for key := range maps.Keys(h.PAXRecords) {
		needed := map[string]bool{
			"path":       len(h.Name) > 100 || !ascii(h.Name),
			"linkpath":   len(h.Linkname) > 100 || !ascii(h.Linkname),
			"size":       h.Size >= 1<<33,
			"hdrcharset": !ascii(h.Name) || !ascii(h.Linkname),
		}
		if !needed[key] {
			t.Errorf("%q has a record %s of PAX that it does not need", h.Name, key)
		}
	}
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e })
}

// checkNames tests the names of a layer in their order: none twice, each behind
// the directory that it is in, and sorted by the components of the path.
func checkNames(t *testing.T, names []string, root bool) {
	t.Helper()
	if !root && (len(names) < 3 || names[0] != "nix/" || names[1] != "nix/store/") {
		t.Fatalf("the layer begins with %q", names[:min(3, len(names))])
	}
	parts := func(name string) []string { return strings.Split(strings.TrimSuffix(name, "/"), "/") }
	seen := map[string]bool{"./": true}
	for i, n := range names {
		if seen[n] || !seen[filepath.Dir(strings.TrimSuffix(n, "/"))+"/"] {
			t.Errorf("%q is there twice, or before its directory", n)
		}
		seen[n] = true
		// Store paths stand in the order of the plan, their insides are sorted.
		if i > 0 && samePath(names[i-1], n) && slices.Compare(parts(names[i-1]), parts(n)) >= 0 {
			t.Errorf("%q stands before %q", names[i-1], n)
		}
	}
}

// samePath tells whether two names are of one store path, or of none.
func samePath(a, b string) bool {
	base := func(name string) string {
		rest, inStore := strings.CutPrefix(name, "nix/store/")
		if !inStore {
			return ""
		}
		base, _, _ := strings.Cut(rest, "/")
		return base
	}
	return base(a) == base(b)
}
