package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"terrine/store/durable"
	"terrine/store/fault"
)

// TestErrorsNameTheTarget: and neither the temporary file nor anything twice.
func TestErrorsNameTheTarget(t *testing.T) {
	dir := t.TempDir()
	directory, file := filepath.Join(dir, "directory"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(directory, 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("x", 256))
	for target, want := range map[string]error{
		filepath.Join(dir, "none", "x"): fs.ErrNotExist,
		filepath.Join(file, "x"):        syscall.ENOTDIR,
		directory:                       syscall.EEXIST,
		long:                            syscall.ENAMETOOLONG,
	} {
		err := durable.WriteFile(t.Context(), target, []byte("x"), 0o644, durable.Options{})
		if !errors.Is(err, want) || strings.Count(err.Error(), filepath.Base(target)) != 1 || !strings.HasPrefix(err.Error(), "write "+target+": ") || strings.Contains(err.Error(), "/.") {
			t.Errorf("WriteFile(%s) = %v; want it to be %v", target, err, want)
		}
	}
	if err := durable.WriteFile(t.Context(), filepath.Join(dir, "none", "x"), nil, 0o644, durable.Options{}); !strings.Contains(fault.HintOf(err), filepath.Join(dir, "none")) {
		t.Errorf("the hint is %q", fault.HintOf(err))
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}

// TestFileErrorsNameTheTarget: those of what a File does itself.
func TestFileErrorsNameTheTarget(t *testing.T) {
	target := filepath.Join(t.TempDir(), "file")
	f, err := durable.Create(target, 0o644, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f.Discard()
	_, err = f.Write([]byte("x"))
	if got, want := durable.WriteError(target, err).Error(), "write "+target+": file already closed"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	if _, err := f.WriteAt([]byte("x"), 0); !strings.Contains(err.Error(), "write "+target+": ") {
		t.Errorf("error %q", err)
	}
}

// TestLongestName: a name of 255 bytes leaves room for a temporary one.
func TestLongestName(t *testing.T) {
	target := filepath.Join(t.TempDir(), strings.Repeat("x", 255))
	o := durable.Options{Rand: strings.NewReader("01234567")}
	f, err := durable.Create(target, 0o644, o)
	if err != nil {
		t.Fatal(err)
	}
	f.File.Close() // as a process that was killed
	if err := durable.RemoveStale(target); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(target)); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := durable.WriteFile(t.Context(), target, []byte("x"), 0o644, durable.Options{}); err != nil {
		t.Error(err)
	}
	if err := durable.Symlink("x", target, durable.Options{}); err != nil {
		t.Error(err)
	}
}

// TestCommitAs: a file gets the name that was found while it was written.
func TestCommitAs(t *testing.T) {
	dir := t.TempDir()
	f, err := durable.Create(filepath.Join(dir, "new"), 0o644, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CommitAs("known"); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "known" {
		t.Errorf("there are: %v", left)
	}
	if err := f.CommitAs("again"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second CommitAs = %v", err)
	}
	// The disk may be full only when the file is to be on it.
	name := filepath.Join(dir, "new")
	f, err = durable.Create(name, 0o644, durable.Options{Fail: func(string) error {
		return &fs.PathError{Op: "sync", Path: name, Err: syscall.ENOSPC}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CommitAs("full"); err == nil || err.Error() != "write "+filepath.Join(dir, "full")+": no space left on device" {
		t.Errorf("without space: %v", err)
	}
}

// TestDirectoryBehindASymlink: what is above a directory that a symlink leads to is
// not what is above the symlink.
func TestDirectoryBehindASymlink(t *testing.T) {
	dir := t.TempDir()
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755), os.Symlink("a/b", filepath.Join(dir, "link")))
	if err != nil {
		t.Fatal(err)
	}
	target := dir + "/link/../file"
	for _, name := range []string{target, dir + "/link/../.file.0123456789abcdef"} {
		if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.RemoveStale(target); err != nil {
		t.Error(err)
	}
	if err := durable.WriteFile(t.Context(), target, []byte("new"), 0o644, durable.Options{}); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a", "file")); err != nil || string(got) != "new" {
		t.Errorf("the file has %q, %v", got, err)
	}
	for name, want := range map[string]int{dir: 2, filepath.Join(dir, "a"): 2} {
		if left, _ := os.ReadDir(name); len(left) != want {
			t.Errorf("there are %v in %s", left, name)
		}
	}
}
