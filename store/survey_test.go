package store_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"terrine/store"
	"terrine/tests/need"
)

// TestSurvey (F40, F42, F48) looks at a tree with everything that is not kept, or
// not everywhere.
func TestSurvey(t *testing.T) {
	files := map[string]string{"many/FILE-7": ""}
	for i := range 1500 { // more than are held at a time
		files[fmt.Sprintf("many/file-%d", i)] = ""
	}
	maps.Copy(files, map[string]string{
		"plain": "1", "suid*": "2", "noted": "3", "also noted": "4", "d/x": "5", "link": "-> noted",
		"caf\u00e9": "NFC", "cafe\u0301": "NFD", "d/Case": "6", "d/case": "7", "d/CASE": "8", "else/Case": "9",
	})
	dir := tree(t, files)
	if err := os.Chmod(filepath.Join(dir, "suid"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"noted", "also noted", "d"} {
		err := unix.Setxattr(filepath.Join(dir, name), "user.note", []byte("x"), 0)
		if errors.Is(err, unix.ENOTSUP) {
			need.Lacking(t, "the file system of TMPDIR has no extended attributes")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := store.NewSurvey(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := &store.Survey{
		Attributes: store.Found{Count: 3, First: filepath.Join(dir, "also noted")},
		SetID:      store.Found{Count: 1, First: filepath.Join(dir, "suid")},
		Twins:      store.Found{Count: 4, First: filepath.Join(dir, "caf\u00e9")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got, err = store.NewSurvey(t.Context(), filepath.Join(dir, "plain"))
	if diff := cmp.Diff(&store.Survey{}, got); diff != "" || err != nil {
		t.Errorf("of a plain file: %v, %s", err, diff)
	}
}
