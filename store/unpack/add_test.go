package unpack

import (
	"archive/tar"
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"

	"terrine/store"
	"terrine/store/fault"
	"terrine/tests/need"
)

// TestAddFile: what cannot be unpacked is not added, not even a part of it, and
// nothing is left behind either way.
func TestAddFile(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	s, err := store.Open(t.Context(), need.TempDir(t), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for file, name := range map[string]string{"dir/a-1.tar.gz": "a-1", "b.txz": "b", "c.tar": "c"} {
		info, err := AddFile(t.Context(), s, file, bytes.NewReader(archive(t, tar.Header{Name: name})), store.AddOptions{})
		if err != nil || info.Path.Name() != name {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	before, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = AddFile(t.Context(), s, "cut.tar", bytes.NewReader(archive(t, file("f"), file("g"))[:1100]), store.AddOptions{})
	if fault.CodeOf(err) != fault.Refused || !strings.HasPrefix(err.Error(), "add cut.tar to the store: ") {
		t.Errorf("a tar that is cut off: %v", err)
	}
	full := &os.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}
	_, err = Add(t.Context(), s, "", "x", store.AddOptions{Name: "x"}, func(string) error { return full })
	if hint := fault.HintOf(err); !strings.Contains(hint, "free some space there, or set TMPDIR to another directory") {
		t.Errorf("a full disk: %v, hint %q", err, hint)
	}
	if after, err := s.List(t.Context()); err != nil || len(after) != len(before) {
		t.Errorf("in the store are %d objects, %v; want %d", len(after), err, len(before))
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
