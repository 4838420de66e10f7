package nar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
	"terrine/tests/need"
)

func TestExtractGivesBackTheTree(t *testing.T) {
	for _, umask := range []int{0o022, 0o077, 0} {
		defer syscall.Umask(syscall.Umask(umask))
		dir := need.TempDir(t)
		for _, g := range goldens(t) {
			if g.name == "sparse" {
				continue
			}
			dst := filepath.Join(dir, g.name)
			if err := Extract(context.Background(), bytes.NewReader(goldenNAR(t, g.name)), dst, nil); err != nil {
				t.Errorf("Extract(%s): %v", g.name, err)
				continue
			}
			if got := dump(t, dst); !bytes.Equal(got, goldenNAR(t, g.name)) {
				t.Errorf("Extract(%s) gives another tree", g.name)
			}
			checkCanonical(t, dst)
		}
	}
}

// checkCanonical checks modes and times.
func checkCanonical(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode()
		ok := mode == 0o444 || mode == 0o555 || mode == fs.ModeDir|0o555 || mode.Type() == fs.ModeSymlink
		if !ok || info.ModTime().Unix() != 1 || info.ModTime().Nanosecond() != 0 {
			t.Errorf("%q has mode %v and mtime %v", path, mode, info.ModTime())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestExtractRefusesToOverwrite(t *testing.T) {
	for name, make := range map[string]func(maker){
		"file":             func(m maker) { m.file("dst", "mine", 0o644) },
		"directory":        func(m maker) { m.mkdir("dst/mine") },
		"dangling symlink": func(m maker) { m.link("dst", "elsewhere") },
		"symlink to a dir": func(m maker) { m.mkdir("elsewhere"); m.link("dst", "elsewhere") },
	} {
		for _, nar := range []string{"odd", "file", "symlink"} {
			dir := need.TempDir(t)
			make(maker{t, dir})
			before := dump(t, dir)
			err := Extract(context.Background(), bytes.NewReader(goldenNAR(t, nar)), dir+"/dst", nil)
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("Extract(%s) over a %s = %v, want fs.ErrExist", nar, name, err)
			}
			if !bytes.Equal(dump(t, dir), before) {
				t.Errorf("Extract(%s) over a %s changed it", nar, name)
			}
		}
	}
}

func TestExtractRemovesWhatItMade(t *testing.T) {
	dir := need.TempDir(t)
	odd := goldenNAR(t, "odd")
	for cut := 0; cut < len(odd); cut += 997 {
		err := Extract(context.Background(), bytes.NewReader(odd[:cut]), dir+"/dst", nil)
		if !errors.Is(err, io.ErrUnexpectedEOF) || fault.CodeOf(err) != fault.Refused {
			t.Fatalf("Extract of %d bytes = %v, want a refusal for io.ErrUnexpectedEOF", cut, err)
		}
		checkEmpty(t, dir)
	}
	whole := [][]byte{odd}
	for _, root := range []*Header{{Type: TypeSymlink, LinkTarget: "/nowhere"}, {Type: TypeRegular}} {
		var b bytes.Buffer
		w := NewWriter(&b)
		if err := errors.Join(w.WriteHeader(root), w.Close()); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, b.Bytes())
	}
	for _, data := range whole {
		if err := Extract(context.Background(), bytes.NewReader(append(data, 0)), dir+"/dst", nil); err == nil || !strings.Contains(err.Error(), "after the end") {
			t.Errorf("Extract with data after the NAR: %v", err)
		}
		checkEmpty(t, dir)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Extract(ctx, bytes.NewReader(odd), dir+"/dst", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Extract = %v, want context.Canceled", err)
	}
	checkEmpty(t, dir)
	if err := Extract(context.Background(), bytes.NewReader(odd), dir+"/no/dst", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Extract without a parent = %v, want fs.ErrNotExist", err)
	}
}

func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Fatalf("%v is left, %v", entries, err)
	}
}

// A NAR cannot have an entry below a symlink; that Extract would not follow one
// that somebody else plants meanwhile is the directory descriptors' doing.
func TestExtractIgnoresPlantedSymlink(t *testing.T) {
	dir := need.TempDir(t)
	m := maker{t, dir}
	m.mkdir("canary")
	pr, pw := io.Pipe()
	done := make(chan error)
	go func() { done <- Extract(context.Background(), pr, dir+"/dst", nil) }()
	w := NewWriter(pw)
	write := func(h *Header) {
		t.Helper()
		m.check(w.WriteHeader(h))
		m.check(w.enc.flush())
	}
	write(&Header{Type: TypeDirectory})
	write(&Header{Path: "sub", Type: TypeDirectory})
	write(&Header{Path: "sub/a", Type: TypeDirectory})
	write(&Header{Path: "sub/a/x", Type: TypeSymlink, LinkTarget: "y"}) // sub/a is open by now
	m.check(os.Rename(dir+"/dst/sub", dir+"/moved"))
	m.link("dst/sub", dir+"/canary")
	write(&Header{Path: "sub/z", Type: TypeRegular})
	m.check(w.Close())
	m.check(pw.Close())
	<-done // an error or not: it may see that sub is not what it made
	checkEmpty(t, dir+"/canary")
}

// FuzzExtract holds that what can be extracted is dumped as the same bytes, and
// that nothing is left of what cannot, in dst or beside it.
func FuzzExtract(f *testing.F) {
	for _, name := range []string{"file", "executable", "symlink", "empty"} {
		f.Add(goldenNAR(f, name))
	}
	var b bytes.Buffer
	writeTree(f, NewWriter(&b))
	f.Add(b.Bytes())
	f.Add(toks(in("..", emptyDir...)...))
	f.Add(toks(twoEntries("a", "A")...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := need.TempDir(t)
		if err := Extract(context.Background(), bytes.NewReader(data), dir+"/dst", nil); err != nil {
			checkEmpty(t, dir)
			return
		}
		if got := dump(t, dir+"/dst"); !bytes.Equal(got, data) {
			t.Errorf("extracted and dumped: %x, want %x", got, data)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("beside dst there is %v, %v", entries, err)
		}
	})
}

// TestExtractTells of each file with contents, when they are all there.
func TestExtractTells(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	for name, text := range map[string]string{"a": "some", "d/b": strings.Repeat("x", 1<<20), "empty": ""} {
		file := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	if err := Dump(t.Context(), &packed, src); err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	kept := -1
	err := Extract(t.Context(), &packed, filepath.Join(need.TempDir(t), "dst"), func(fd int, size int64) (taken bool) {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Size != size {
			t.Errorf("the file has %d bytes, not %d (%v)", st.Size, size, err)
		}
		if sizes = append(sizes, size); kept < 0 {
			kept = fd
		}
		return kept == fd && len(sizes) == 1
	})
	if err != nil || !slices.Equal(sizes, []int64{4, 1 << 20}) {
		t.Errorf("told of files of %d bytes (%v)", sizes, err)
	}
	if err := unix.Close(kept); err != nil {
		t.Errorf("close the descriptor that was taken: %v", err)
	}
}
