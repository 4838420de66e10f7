//go:build unix

package binarycache

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"terrine/store/fault"
)

// TestDirectoryHasOnlyFiles: what is no file in a directory is refused, and a FIFO
// keeps nobody waiting.
func TestDirectoryHasOnlyFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]error{
		"directory": os.Mkdir(filepath.Join(dir, "directory"), 0o700),
		"to-fifo":   os.Symlink("fifo", filepath.Join(dir, "to-fifo")),
	} {
		if do != nil {
			t.Fatal(name, do)
		}
	}
	p, err := newPlace("file://"+dir, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, name := range []string{"fifo", "to-fifo", "directory"} {
		if _, err := p.open(t.Context(), name); fault.CodeOf(err) != fault.Refused {
			t.Errorf("open %s = %v; want Refused", name, err)
		}
	}
	if _, err := p.open(t.Context(), "absent"); !errors.Is(err, errAbsent) {
		t.Errorf("open of what is absent = %v; want errAbsent", err)
	}
}
