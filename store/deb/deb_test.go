package deb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
	"terrine/tests/need"
)

// build has dpkg-deb make a package. control is its fields, without those that
// every package has; a file is "path contents" or "path -> target".
func build(t testing.TB, name, version, control string, files ...string) string {
	t.Helper()
	need.Programs(t, "dpkg-deb")
	need.Umask(t) // dpkg-deb refuses what others may not read
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	text := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n more\n%s", name, version, control)
	check(t, os.MkdirAll(filepath.Join(root, "DEBIAN"), 0o755), os.WriteFile(filepath.Join(root, "DEBIAN/control"), []byte(text), 0o644))
	for _, f := range files {
		path, contents, _ := strings.Cut(f, " ")
		path = filepath.Join(root, path)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if target, ok := strings.CutPrefix(contents, "-> "); ok {
			check(t, os.Symlink(target, path))
			continue
		}
		check(t, os.WriteFile(path, []byte(contents+"\n"), 0o755))
	}
	out := filepath.Join(dir, name+".deb")
	compression := map[byte]string{'a': "-Zgzip", 'b': "-Znone", 'c': "-Zzstd"}[name[0]]
	if compression == "" {
		compression = "-Zxz"
	}
	cmd := exec.CommandContext(t.Context(), "dpkg-deb", "--root-owner-group", compression, "--build", root, out)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return out
}

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestAdd makes store paths of packages that dpkg-deb built, each compressed in
// another way, two of them in a circle.
func TestAdd(t *testing.T) {
	ctx := t.Context()
	s, err := store.Open(ctx, need.TempDir(t), store.Options{NoSync: true})
	check(t, err)
	defer s.Close()
	files := []string{
		build(t, "app", "1:2.0~rc1-1", "Pre-Depends: circle-one (>= 1)\nDepends: data | no-such, virtual (= 3)\n", "usr/bin/app x", "usr/lib/app -> ../share/data"),
		build(t, "circle-two", "1", "Depends: circle-one\n", "lib/two x"),
		build(t, "circle-one", "1", "Depends: circle-two\n", "lib/one x"),
		build(t, "base-of-all", "1", "Provides: virtual (= 3)\n", "etc/conf x"),
		build(t, "data", "1", "Depends: base-of-all\n", "usr/share/data/file x"),
	}
	set, err := Open(ctx, files)
	check(t, err)
	if len(set.Missing) > 0 {
		t.Errorf("missing: %v", set.Missing)
	}
	var told []string
	added, err := set.Add(ctx, s, t.TempDir(), func(a Added) { told = append(told, a.Path.Name()) })
	check(t, err)
	want := []string{"base-of-all-1", "circle-one-1-and-circle-two-1", "data-1", "app-1_2.0_rc1-1"}
	if diff := cmp.Diff(want, told); diff != "" || len(added) != len(want) {
		t.Fatalf("added (-want +got):\n%s", diff)
	}
	base, circle, data, app := added[0], added[1], added[2], added[3]
	if diff := cmp.Diff(sorted(base.Path, circle.Path, data.Path), app.References); diff != "" {
		t.Errorf("references of app (-want +got):\n%s", diff)
	}
	if len(circle.References) > 0 || len(data.References) != 1 {
		t.Errorf("references: %v, %v", circle.References, data.References)
	}
	inside := map[string]string{}
	root := filepath.Join(s.RealDir(), circle.Path.Base())
	check(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			text, _ := os.ReadFile(path)
			inside[strings.TrimPrefix(path, root)] = string(text)
		}
		return err
	}))
	if diff := cmp.Diff(map[string]string{"/lib/one": "x\n", "/lib/two": "x\n"}, inside); diff != "" {
		t.Errorf("in the circle (-want +got):\n%s", diff)
	}
	for p, err := range s.Verify(ctx) {
		t.Errorf("%s: %v", p, err)
	}
	again, err := Open(ctx, []string{files[3], files[0], files[4], files[2], files[1]})
	check(t, err)
	repeated, err := again.Add(ctx, s, "", nil)
	check(t, err)
	for i := range added {
		if repeated[i].Path != added[i].Path {
			t.Errorf("in another order: %s, not %s", repeated[i].Path, added[i].Path)
		}
	}
}

func sorted(paths ...store.Path) []store.Path {
	for i := range paths {
		for j := range i {
			if paths[i] < paths[j] {
				paths[i], paths[j] = paths[j], paths[i]
			}
		}
	}
	return paths
}

// TestCircleClash has two packages of a circle claim one file.
func TestCircleClash(t *testing.T) {
	ctx := t.Context()
	s, err := store.Open(ctx, need.TempDir(t), store.Options{NoSync: true})
	check(t, err)
	defer s.Close()
	set, err := Open(ctx, []string{
		build(t, "one", "1", "Depends: two\n", "f x"), build(t, "two", "1", "Depends: one\n", "f y"),
	})
	check(t, err)
	_, err = set.Add(ctx, s, t.TempDir(), nil)
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), `two.deb: unpack "./f": refused: it is there already`) {
		t.Errorf("error %v", err)
	}
	if list, err := s.List(ctx); err != nil || len(list) > 0 {
		t.Errorf("in the store: %v, %v", list, err)
	}
}

// TestCut cuts a package at many places.
func TestCut(t *testing.T) {
	for _, name := range []string{"app", "big", "case", "xz"} {
		data, err := os.ReadFile(build(t, name, "1", "", "usr/bin/app "+strings.Repeat("text ", 1000)))
		check(t, err)
		if _, err := readPackage(bytes.NewReader(data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		check(t, unpackFiles(t.Context(), bytes.NewReader(data), t.TempDir()))
		for n := 0; n < len(data)-1; n += 1 + len(data)/97 {
			if _, err := readPackage(bytes.NewReader(data[:n])); err != nil && fault.CodeOf(err) != fault.Refused {
				t.Errorf("%s: read, cut to %d of %d bytes: %v", name, n, len(data), err)
			}
			if err := unpackFiles(t.Context(), bytes.NewReader(data[:n]), t.TempDir()); fault.CodeOf(err) != fault.Refused {
				t.Errorf("%s: unpack, cut to %d of %d bytes: %v", name, n, len(data), err)
			}
		}
	}
}

func member(name, text string) string {
	s := fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", name, 0, 0, 0, "100644", len(text), text)
	return s + strings.Repeat("\n", len(text)%2)
}

func TestRefused(t *testing.T) {
	good := arMagic + member("debian-binary", "2.0\n")
	for name, c := range map[string]struct{ text, want string }{
		"empty":                   {"", "no ar archive"},
		"a tar":                   {strings.Repeat("\x00", 1024), "no ar archive"},
		"another archive":         {arMagic + member("x.o/", "x"), `first member is "x.o"`},
		"a later format":          {arMagic + member("debian-binary", "3.0\n"), `format "3.0`},
		"no control":              {good + member("data.tar", ""), "no control.tar"},
		"compressed by lzma":      {good + member("control.tar.lzma", ""), "not supported"},
		"a header that is cut":    {good + "control.tar", "cut off"},
		"a header without an end": {good + strings.Repeat("x", 60), "has no end"},
		"a negative size":         {good + strings.Replace(member("control.tar", ""), "100644  0 ", "100644  -1", 1), "size"},
		"no control file":         {good + member("control.tar", strings.Repeat("\x00", 1024)), "no control file"},
		"rubbish":                 {good + member("control.tar", strings.Repeat("x", 1024)), "control.tar: archive/tar: invalid tar header"},
	} {
		_, err := readPackage(strings.NewReader(c.text))
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := unpackFiles(context.Background(), strings.NewReader(good+member("control.tar", "x")), t.TempDir()); fault.CodeOf(err) != fault.Refused {
		t.Errorf("no data: %v", err)
	}
	for _, text := range []string{"", arMagic} {
		if _, err := readPackage(io.MultiReader(strings.NewReader(text), iotest.ErrReader(fs.ErrPermission))); err == nil || err.Error() != "read Debian package: permission denied" {
			t.Errorf("a reader that fails: %v", err)
		}
	}
	_, err := Open(t.Context(), []string{"testdata/does-not-exist.deb"})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	data, err := os.ReadFile(build(f, "big", "1", "Depends: x\n", "f x"))
	check(f, err)
	f.Add(data)
	f.Add([]byte(arMagic + member("debian-binary", "2.0\n") + member("control.tar", "x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := readPackage(bytes.NewReader(data))
		if err == nil && (p.Name == "" || p.Version == "") {
			t.Errorf("%+v", p)
		}
	})
}

// TestLongField: a field of many lines is not copied for each of them.
func TestLongField(t *testing.T) {
	text := []byte("Package: aa\nVersion: 1\nArchitecture: all\nDescription: x\n" + strings.Repeat(" .\n", 20_000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := parseControl(text); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(100*len(text)); got > most {
		t.Errorf("%d bytes are taken for %d: want %d at most", got, len(text), most)
	}
}

// TestOpenRefusesWhatIsNoFile: a package is read twice, and a FIFO would keep us
// waiting.
func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	if _, err := Open(t.Context(), []string{t.TempDir()}); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("Open of a directory = %v; want Refused", err)
	}
}
