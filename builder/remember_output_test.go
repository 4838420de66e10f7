package builder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOutputsOfOthersAreNotRemembered: what another has put in the place of what a build
// wrote, or has written to it, is not taken for the image of that build.
func TestOutputsOfOthersAreNotRemembered(t *testing.T) {
	modTime := time.Unix(1e9, 0)
	for name, do := range map[string]func(path string) error{
		"nothing": func(string) error { return nil },
		"removed": os.Remove,
		"another": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, []byte("image"), 0o644), os.Chtimes(path, time.Time{}, modTime))
		},
		"longer": func(path string) error {
			return errors.Join(os.Truncate(path, 6), os.Chtimes(path, time.Time{}, modTime))
		},
		"touched": func(path string) error { return os.Chtimes(path, time.Time{}, modTime.Add(time.Hour)) },
	} {
		m, _ := openMemo(t, t.TempDir())
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := errors.Join(os.WriteFile(path, []byte("image"), 0o644), os.Chtimes(path, time.Time{}, modTime)); err != nil {
			t.Fatal(err)
		}
		written, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := do(path); err != nil {
			t.Fatal(err)
		}
		r, out := &Result{Digest: "sha256:x"}, Output{Path: path}
		m.saveOutput(t.Context(), r, out, written)
		if got := m.isWritten(t.Context(), r, out); got != (name == "nothing") {
			t.Errorf("%s: taken for the image: %v", name, got)
		}
	}
}

// TestOutputStat: only a file is recognised, and that by the name that it has itself.
func TestOutputStat(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	for _, err := range []error{
		os.WriteFile(file, nil, 0o644), os.Symlink("file", filepath.Join(dir, "link")), os.Symlink("none", filepath.Join(dir, "dangling")),
		os.Mkdir(filepath.Join(dir, "dir"), 0o755), unix.Mkfifo(filepath.Join(dir, "fifo"), uint32(fs.ModePerm)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for name, want := range map[string]string{
		"": "", "file": file, "./link": file, filepath.Join(dir, "link"): file, "dir": "", "fifo": "", "dangling": "", "none": "", "/dev/null": "",
	} {
		if path, stat := outputStat(Output{Path: name}); path != want || (stat == "") != (want == "") {
			t.Errorf("%q: path %q, stat %q; want %q", name, path, stat, want)
		}
	}
}
