package need

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// recorder is a test that notes how it ended.
type recorder struct {
	testing.TB
	failed, skipped bool
	said            string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed, r.said = true, fmt.Sprintf(format, args...)
}

func (r *recorder) Skipf(format string, args ...any) {
	if !r.failed { // Fatalf does not return to a real test
		r.skipped, r.said = true, fmt.Sprintf(format, args...)
	}
}

// TestLacking: nothing may be left out where CI=true, and elsewhere it is said.
func TestLacking(t *testing.T) {
	for value, fails := range map[string]bool{"true": true, "": false, "false": false} {
		t.Setenv("CI", value)
		r := &recorder{}
		Programs(r, "sh", "no-such-program")
		if r.failed != fails || r.skipped == fails || r.said != "cannot test: no-such-program is not on PATH" {
			t.Errorf("CI=%q: %+v", value, r)
		}
		r = &recorder{}
		if Programs(r, "sh"); r.said != "" {
			t.Errorf("CI=%q: with sh there, %q", value, r.said)
		}
	}
}

// TestRemoveAll removes what is in directories that nobody may write to.
func TestRemoveAll(t *testing.T) {
	dir := TempDir(t)
	sub := filepath.Join(dir, "store", "object")
	if err := errors.Join(os.MkdirAll(sub, 0o755), os.WriteFile(filepath.Join(sub, "file"), nil, 0o444), os.Chmod(sub, 0o555), os.Chmod(filepath.Dir(sub), 0o555)); err != nil {
		t.Fatal(err)
	}
	if err := RemoveAll(filepath.Join(dir, "store")); err != nil {
		t.Error(err)
	}
}
