package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"terrine/tests/need"
)

// TestAhead: files may be closed at once, by several goroutines, and the batch
// ends with nobody at work on it and no descriptor left.
func TestAhead(t *testing.T) {
	if !wholeFilesystem {
		need.Lacking(t, "the disk is not asked ahead on this system")
	}
	before := descriptors(t)
	b, err := NewBatch(Options{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for k := range 3 * aheadFiles / 4 {
				f, err := os.Create(filepath.Join(dir, string(rune('a'+i))))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.WriteString("something"); err != nil {
					t.Error(k, err)
				}
				own, err := unix.Dup(int(f.Fd()))
				if err != nil {
					t.Error(err)
				}
				if !b.Ahead(own, 9) {
					unix.Close(own)
				}
				f.Close()
			}
		})
	}
	all.Wait()
	if err := b.Sync(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestAheadWithoutSyncs: nothing is asked, and nothing started.
func TestAheadWithoutSyncs(t *testing.T) {
	b, err := NewBatch(Options{NoSync: true}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if b.Ahead(-1, 1) || b.lots != nil {
		t.Error("the file was taken")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestSyncOfSingleFiles: where there is no syncfs, each Sync is of what was moved since
// the last, and of where it is now.
func TestSyncOfSingleFiles(t *testing.T) {
	dir := t.TempDir()
	b, err := NewBatch(Options{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.moved = []string{filepath.Join(dir, "moved on"), there, longTree(t, dir)}
	if err := b.Sync(); err != nil || len(b.moved) > 0 {
		t.Errorf("Sync = %v, and %q are to be synced again", err, b.moved)
	}
}

// longTree makes a directory with a file in it whose path is longer than the system takes.
func longTree(t *testing.T, dir string) string {
	t.Helper()
	up, err := os.OpenRoot(dir)
	name := strings.Repeat("d", 250)
	for range 20 {
		if err == nil {
			err = up.Mkdir(name, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		last := up
		up, err = last.OpenRoot(name)
		last.Close()
	}
	if err == nil {
		err = errors.Join(up.WriteFile("f", nil, 0o444), up.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}
