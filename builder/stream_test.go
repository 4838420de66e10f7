package builder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/store/fault"
	"terrine/tests/need"
)

// TestSymlinksToOutputsStay: the file that a symlink leads to is written, and none
// takes the place of the link.
func TestSymlinksToOutputsStay(t *testing.T) {
	s := newHostStore(t)
	dir := t.TempDir()
	link, aim := filepath.Join(dir, "link.tar"), filepath.Join(dir, "aim.tar")
	if err := os.Symlink("aim.tar", link); err != nil {
		t.Fatal(err)
	}
	build := func(path string) error {
		t.Helper()
		plan, err := NewPlan(t.Context(), s.spec(t, `{"name":"x","contents":["@app"]}`), s.options())
		if err != nil {
			t.Fatal(err)
		}
		_, err = plan.WriteArchive(t.Context(), Output{Path: path}, s.options())
		return err
	}
	if err := build(link); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "aim.tar") {
		t.Errorf("a symlink that leads nowhere: %v", err)
	}
	if err := errors.Join(os.WriteFile(aim, nil, 0o600), build(link)); err != nil {
		t.Fatal(err)
	}
	to, err := os.Readlink(link)
	if info, statErr := os.Stat(aim); err != nil || statErr != nil || to != "aim.tar" || info.Size() == 0 {
		t.Errorf("link to %q, %v; %v, %v", to, err, info, statErr)
	}

	// A link of the system's to a file that has no name any more.
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		need.Lacking(t, "there is no /proc")
	}
	f, err := os.Create(filepath.Join(dir, "gone.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	shell := filepath.Join(dir, "fd.tar")
	if err := errors.Join(os.Remove(f.Name()), os.Symlink(filepath.Join("/proc/self/fd", fmt.Sprint(f.Fd())), shell), build(shell)); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() == 0 {
		t.Errorf("nothing is written to a file without a name (%v)", err)
	}
	if _, err := os.Readlink(shell); err != nil {
		t.Error(err)
	}
}
