package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"terrine/store/fault"
	"terrine/tests/need"
)

// archive makes a tar of headers; a file has its own name as content.
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, h.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name string) tar.Header { return tar.Header{Name: name} }
func dir(name string) tar.Header  { return tar.Header{Name: name, Typeflag: tar.TypeDir} }
func symlink(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
}
func hardlink(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
}

// list shows a tree, one entry a line.
func list(t *testing.T, root string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			fmt.Fprintf(&s, "%s/\n", rel)
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&s, "%s -> %s\n", rel, target)
		default:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&s, "%o %s %q\n", info.Mode(), rel, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func TestTar(t *testing.T) {
	data := archive(t,
		tar.Header{Name: "pax_global_header", Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}},
		dir("./"), dir("./a/"), file("./a/b"), tar.Header{Name: "x", Mode: 0o4755}, file("deep/er/c"),
		symlink("l", "/etc/passwd"), symlink("m", "../.."), hardlink("a/h", "./a/b"), dir("a"),
		tar.Header{Name: "empty/", Typeflag: tar.TypeDir, Mode: 0})
	want := `a/
644 a/b "./a/b"
644 a/h "./a/b"
deep/
deep/er/
644 deep/er/c "deep/er/c"
empty/
l -> /etc/passwd
m -> ../..
755 x "x"
`
	root := filepath.Join(t.TempDir(), "new")
	if err := tarWithin(t.Context(), bytes.NewReader(data), root, limits{maxBytes, maxEntries, 0}); err != nil {
		t.Fatal(err) // there is no hole in it
	}
	if diff := cmp.Diff(want, list(t, root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	long := strings.Repeat("x", 256)
	cases := []struct {
		name    string
		headers []tar.Header
		want    string
	}{
		{"upwards", []tar.Header{file("../canary")}, "leads upwards"},
		{"upwards in the middle", []tar.Header{file("a/../../canary")}, "leads upwards"},
		{"upwards and back", []tar.Header{file("a/../b")}, "leads upwards"},
		{"absolute", []tar.Header{file("/canary")}, "begins with a slash"},
		{"through a link out", []tar.Header{symlink("l", ".."), file("l/canary")}, `else at "l" than a directory`},
		{"through an absolute link", []tar.Header{symlink("l", "/"), dir("l/tmp/canary")}, `else at "l" than a directory`},
		{"through a link inside", []tar.Header{dir("d"), dir("d/e"), symlink("l", "d"), file("l/e/f")}, `else at "l" than a directory`},
		{"through a file", []tar.Header{file("f"), file("f/g")}, `else at "f" than a directory`},
		{"over a link", []tar.Header{symlink("l", "../canary"), file("l")}, "there already"},
		{"a directory over a link", []tar.Header{symlink("l", ".."), dir("l")}, `else at "l" than a directory`},
		{"twice", []tar.Header{file("f"), file("./f")}, "there already"},
		{"a link twice", []tar.Header{symlink("f", "x"), symlink("./f", "x")}, "there already"},
		{"a hard link over a file", []tar.Header{file("f"), file("g"), hardlink("g", "f")}, "there already"},
		{"a hard link out", []tar.Header{hardlink("h", "../canary")}, "leads upwards"},
		{"a hard link to a link", []tar.Header{symlink("l", "/etc/passwd"), hardlink("h", "l")}, "no file of the archive"},
		{"a hard link to what comes later", []tar.Header{hardlink("h", "f"), file("f")}, "no file of the archive"},
		{"a device", []tar.Header{{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}, "devices"},
		{"a disk", []tar.Header{{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}}, "devices"},
		{"a FIFO", []tar.Header{{Name: "fifo", Typeflag: tar.TypeFifo}}, "devices"},
		{"a long name", []tar.Header{file("a/" + long)}, "at most 255 bytes"},
		{"no target", []tar.Header{symlink("l", "")}, "1 to 4095 bytes"},
		{"a long target", []tar.Header{symlink("l", strings.Repeat(long, 16))}, "1 to 4095 bytes"},
		{"depth", []tar.Header{file(strings.Repeat("d/", 63) + "f")}, "nested deeper than 64"},
		{"a file for the top", []tar.Header{file(".")}, "is a directory"},
		{"too many bytes", []tar.Header{file("abc"), file(long[:98])}, "more bytes"},
		{"too many bytes by hard links", []tar.Header{file(long[:60]), hardlink("h", long[:60])}, "more bytes"},
		{"too many entries", []tar.Header{dir("a"), dir("b"), dir("c"), dir("d"), dir("e"), dir("f")}, "too many entries"},
		{"too many directories above", []tar.Header{file("a/b/c/d/e/f")}, "too many entries"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			err := tarWithin(t.Context(), bytes.NewReader(archive(t, c.headers...)), filepath.Join(root, "new"), limits{100, 5, maxHoles})
			if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v of class %d, want %q", err, fault.CodeOf(err), c.want)
			}
			if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
				t.Errorf("beside the directory there is %v, %v", entries, err)
			}
		})
	}
}

// zeros is /dev/zero.
type zeros struct{}

func (*zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestMalformed cuts an archive in many places, and has the stream break.
func TestMalformed(t *testing.T) {
	data := archive(t, file(strings.Repeat("a", 90)), dir("d"), file("d/b"))
	for n := 0; n < len(data)-1; n += 64 {
		if err := Tar(t.Context(), bytes.NewReader(data[:n]), t.TempDir()); fault.CodeOf(err) != fault.Refused {
			t.Errorf("cut to %d of %d bytes: %v", n, len(data), err)
		}
	}
	for _, n := range []int{550, 700} {
		if err := Tar(t.Context(), bytes.NewReader(data[:n]), t.TempDir()); fault.CodeOf(err) != fault.Refused {
			t.Errorf("cut in the middle of a file, or behind it: %v", err)
		}
	}
	endless := io.MultiReader(bytes.NewReader(data), new(zeros))
	if err := Tar(t.Context(), endless, t.TempDir()); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "data after the end") {
		t.Errorf("zeros without end: %v", err)
	}
	if err := Tar(t.Context(), strings.NewReader("\x1f\x8bno gzip"), t.TempDir()); fault.CodeOf(err) != fault.Refused {
		t.Errorf("a broken header of gzip: %v", err)
	}
	broken := errors.New("the line is cut")
	for _, n := range []int{0, 550, 700} {
		r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken))
		if err := Tar(t.Context(), r, t.TempDir()); !errors.Is(err, broken) || fault.CodeOf(err) == fault.Refused {
			t.Errorf("an error below, after %d bytes: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, data := range [][]byte{data, archive(t, dir("d"))} {
		if err := Tar(ctx, bytes.NewReader(data), t.TempDir()); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
	}
}

// TestTarOfGNU unpacks what GNU tar packs, compressed by each program.
func TestTarOfGNU(t *testing.T) {
	need.Programs(t, "tar", "gzip", "xz", "bzip2", "zstd")
	need.Umask(t)
	from := t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(from, "sub", "dir"), 0o755),
		os.WriteFile(filepath.Join(from, "sub", "empty"), nil, 0o644),
		os.WriteFile(filepath.Join(from, "sub", "script"), []byte("#!/bin/sh\n"), 0o755),
		os.WriteFile(filepath.Join(from, "sub", strings.Repeat("long", 60)), []byte("x"), 0o600),
		os.Symlink("script", filepath.Join(from, "sub", "link")),
		os.Link(filepath.Join(from, "sub", "script"), filepath.Join(from, "sub", "twin")),
	); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(list(t, from), "600 ", "644 ")
	for _, flag := range []string{"--format=gnu", "--format=pax", "--format=ustar", "-z", "-J", "-j", "--zstd"} {
		cmd := exec.CommandContext(t.Context(), "tar", "-c", flag, "-C", from, ".")
		if flag == "--format=ustar" {
			cmd.Args = append(cmd.Args[:len(cmd.Args)-1], "sub/script", "sub/link")
		}
		data, err := cmd.Output()
		if err != nil {
			t.Fatalf("tar %s: %v", flag, err)
		}
		root := t.TempDir()
		if err := Tar(t.Context(), bytes.NewReader(data), root); err != nil {
			t.Errorf("tar %s: %v", flag, err)
			continue
		}
		if got := list(t, root); flag != "--format=ustar" && got != want {
			t.Errorf("tar %s (-want +got):\n%s", flag, cmp.Diff(want, got))
		}
	}
}

// FuzzTar looks for what gets out of the directory.
func FuzzTar(f *testing.F) {
	f.Add(archive(f, file("a"), symlink("l", ".."), dir("d"), hardlink("h", "a")))
	f.Add(archive(f, file("../canary")))
	f.Add(archive(f, symlink("l", "/"), file("l/canary")))
	f.Add(petabyte(f, 1<<19))
	f.Add(petabyte(f, 1<<10, "GNU.sparse.name=a\x00b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		root := t.TempDir()
		err := tarWithin(t.Context(), bytes.NewReader(data), filepath.Join(root, "new"), limits{1 << 20, 100, 1 << 19})
		if err != nil && fault.CodeOf(err) != fault.Refused {
			t.Errorf("error %v has class %d", err, fault.CodeOf(err))
		}
		if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
			t.Errorf("beside the directory there is %v, %v", entries, err)
		}
	})
}
