package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSentence(t *testing.T) {
	disk := errors.New("unlink x: permission denied")
	for want, err := range map[string]error{
		"a":                           errors.New("a"),
		"a\nb":                        errors.New("a\nb"), // a name may have that in it
		"gc: a; b":                    fmt.Errorf("gc: %w", errors.Join(errors.New("a"), errors.New("b"))),
		"gc: a; b; c":                 fmt.Errorf("gc: %w", errors.Join(errors.New("a"), errors.Join(errors.New("b"), errors.New("c")))),
		"a: x (y)":                    fmt.Errorf("a: %w (y)", errors.New("x")),
		"unlink x: permission denied": errors.Join(disk, disk),
	} {
		if got := sentence(err); got != want {
			t.Errorf("sentence(%q) = %q; want %q", err, got, want)
		}
	}
}

// TestWriteFileReplacesOnlyFiles holds writeFile from putting a file in the place
// of a pipe, a symlink or a device.
func TestWriteFileReplacesOnlyFiles(t *testing.T) {
	dir := t.TempDir()
	file, link, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := errors.Join(os.Symlink("file", link), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0) // which waits for nobody
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, name := range []string{file, link, fifo} {
		before, _ := os.Lstat(name)
		if err := writeFile(t.Context(), name, []byte("to "+name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.Lstat(name)
		if err != nil || before != nil && after.Mode().Type() != before.Mode().Type() {
			t.Errorf("%s became %v (%v)", name, after, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "to "+link {
		t.Errorf("the link leads to %q (%v)", got, err)
	}
	got := make([]byte, len("to "+fifo))
	if _, err := reader.Read(got); err != nil || string(got) != "to "+fifo {
		t.Errorf("the pipe has %q (%v)", got, err)
	}
	if err := writeFile(t.Context(), dir, nil); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a directory: %v", err)
	}
}
