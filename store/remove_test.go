package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// countdown is a context that ends when it has been asked for that n times.
type countdown struct {
	context.Context
	n    int
	stop context.CancelCauseFunc
}

func (c *countdown) Err() error {
	if c.n--; c.n < 0 {
		c.stop(errStopped)
	}
	return c.Context.Err()
}

var errStopped = errors.New("stopped")

// TestRemoveTreeUntil ends a removal (F22) in the midst of a directory: one file is asked
// for at a time, and none is removed after that.
func TestRemoveTreeUntil(t *testing.T) {
	const files, told = 2500, 1300
	top := filepath.Join(t.TempDir(), "object")
	dir := filepath.Join(top, "d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o555), os.Chmod(top, 0o555)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := removeTreeUntil(&countdown{ctx, 1 + told, cancel}, top); !errors.Is(err, errStopped) {
		t.Errorf("error %v, want the cause of the context", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != files-told {
		t.Errorf("%d files are left (%v); want %d", len(left), err, files-told)
	}
	if err := removeTree(top); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(top); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the object is left: %v", err)
	}
}
