//go:build unix

package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// TestDatabaseThatIsNoFile: a FIFO in the place of a database must not keep
// anybody waiting.
func TestDatabaseThatIsNoFile(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		dir := t.TempDir()
		o := DBOptions{Options: Options{NoSync: true}, Schema: Schema{Name: "test", Version: 1}}
		if _, err := OpenDB(t.Context(), dir, o); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, dbName)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := replace(path); err != nil {
			t.Fatal(err)
		}
		db, err := OpenDB(t.Context(), dir, o)
		if err == nil {
			err = db.View(t.Context(), func(*Tx) error { return nil })
		}
		if fault.CodeOf(err) != fault.StoreDamaged {
			t.Errorf("%s: View = %v; want class StoreDamaged", name, err)
		}
	}
}

// TestSymlinkErrorNamesTheLink: not the temporary name, which tells nobody anything.
func TestSymlinkErrorNamesTheLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "absent", "link")
	err := Symlink("target", link, Options{})
	if want := "link " + link + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("Symlink = %v; want %s", err, want)
	}
}

// TestReplaceRemovesWhatKillsLeft: nobody else writes these files meanwhile.
func TestReplaceRemovesWhatKillsLeft(t *testing.T) {
	dir := t.TempDir()
	db, err := OpenDB(t.Context(), dir, DBOptions{Options: Options{NoSync: true}, Schema: Schema{Name: "test", Version: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dbName, markerName} {
		if err := os.WriteFile(filepath.Join(dir, "."+name+".0123456789abcdef"), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Replace(t.Context(), func(*Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// TestRemoveStaleDuringCreate: a file that RemoveStale has locked before its maker
// is as good as removed.
func TestRemoveStaleDuringCreate(t *testing.T) {
	f, err := create(filepath.Join(t.TempDir(), "image.tar"), 0o644, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	other, err := os.Open(f.temp)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := flock(other, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if err := f.claim(); !errors.Is(err, ErrLockLost) {
		t.Errorf("claim = %v; want ErrLockLost", err)
	}
}
