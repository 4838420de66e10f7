package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"terrine/store/durable"
)

var errStop = errors.New("stop")

// stopAt are options that fail at a named point.
func stopAt(point string) durable.Options {
	return durable.Options{Fail: func(p string) error {
		if p == point {
			return errStop
		}
		return nil
	}}
}

func TestWriteFileIsAllOrNothing(t *testing.T) {
	for point, want := range map[string]string{"file.written": "old", "file.synced": "old", "file.renamed": "new", "": "new"} {
		dir := t.TempDir()
		target := filepath.Join(dir, "file")
		if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := durable.WriteFile(t.Context(), target, []byte("new"), 0o644, stopAt(point))
		if (point != "") != errors.Is(err, errStop) {
			t.Errorf("WriteFile stopped at %q = %v", point, err)
		}
		if got, err := os.ReadFile(target); string(got) != want || err != nil {
			t.Errorf("stopped at %q: file has %q, %v; want %q", point, got, err, want)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("stopped at %q: left %v", point, left)
		}
	}
}

func TestSymlinkIsAllOrNothing(t *testing.T) {
	for point, want := range map[string]string{"symlink.made": "old", "symlink.renamed": "new", "": "new"} {
		dir := t.TempDir()
		name := filepath.Join(dir, "link")
		if err := os.Symlink("old", name); err != nil {
			t.Fatal(err)
		}
		err := durable.Symlink("new", name, stopAt(point))
		if (point != "") != errors.Is(err, errStop) {
			t.Errorf("Symlink stopped at %q = %v", point, err)
		}
		if got, err := os.Readlink(name); got != want || err != nil {
			t.Errorf("stopped at %q: it leads to %q, %v; want %q", point, got, err, want)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("stopped at %q: left %v", point, left)
		}
	}
}

func TestCommitTwiceIsAnError(t *testing.T) {
	f, err := durable.Create(filepath.Join(t.TempDir(), "file"), 0o644, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Commit = %v; want os.ErrClosed", err)
	}
	f.Discard()
	if left, err := os.ReadDir(filepath.Dir(f.Name())); len(left) != 1 || err != nil {
		t.Errorf("there are %v, %v; want the file alone", left, err)
	}
}

func TestBatchRenamesAndSyncs(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, ".tmp"), filepath.Join(dir, "object")
	var points []string
	b, err := durable.NewBatch(durable.Options{Fail: func(p string) error {
		points = append(points, p)
		return nil
	}}, dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(from, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Rename(from, to), b.Sync(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(to, "sub")); err != nil {
		t.Error(err)
	}
	want := []string{"batch.rename", "batch.renamed", "batch.sync", "batch.synced"}
	if len(points) != len(want) {
		t.Errorf("points %q; want %q", points, want)
	}
}

// TestRemoveStale: what nobody writes any more goes, all else stays.
func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "image.tar")
	f, err := durable.Create(target, 0o644, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	temporary, err := os.ReadDir(dir)
	if err != nil || len(temporary) != 1 {
		t.Fatal(temporary, err)
	}
	stale := filepath.Join(dir, ".image.tar.0123456789abcdef")
	keep := []string{temporary[0].Name(), ".image.tar.short", ".image.tar.0123456789ABCDEF", ".other.tar.0123456789abcdef", "image.tar.0123456789abcdef"}
	for _, name := range append(keep[1:], filepath.Base(stale)) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.RemoveStale(target); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(stale); !os.IsNotExist(err) {
		t.Errorf("stat of the stale file: %v; want it gone", err)
	}
	for _, name := range keep {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if err := f.Commit(); err != nil {
		t.Error(err)
	}
}

// TestRemoveStaleDuringCommit: a file is somebody's until it has its name.
func TestRemoveStaleDuringCommit(t *testing.T) {
	target := filepath.Join(t.TempDir(), "image.tar")
	o := durable.Options{Fail: func(point string) error {
		if point == "file.renamed" {
			return nil
		}
		return durable.RemoveStale(target)
	}}
	if err := durable.WriteFile(t.Context(), target, []byte("new"), 0o644, o); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(target); string(got) != "new" {
		t.Errorf("the file has %q, %v", got, err)
	}
}
