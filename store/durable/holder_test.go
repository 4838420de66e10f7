package durable

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Who holds a lock is said without contents, which would be brought to disk, and
// where that cannot be, with them.
func TestHolderIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	l, err := AcquireLock(t.Context(), path, Exclusive, "a", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	check := func(how string, pid int, notes ...string) {
		t.Helper()
		h, err := Inspect(path)
		if err != nil || !h.Held || h.PID != pid || !slices.Equal(h.Notes, notes) {
			t.Errorf("%s: Inspect = %+v, %v, want the process %d and the notes %q", how, h, err, pid, notes)
		}
	}
	check("after AcquireLock", os.Getpid())
	var b [20]byte
	if _, err := unix.Fgetxattr(int(l.f.Fd()), holderAttr, b[:]); err == nil {
		if info, err := l.f.Stat(); err != nil || info.Size() != 0 {
			t.Errorf("the lock has %d bytes, %v, want none", info.Size(), err)
		}
		if err := unix.Fremovexattr(int(l.f.Fd()), holderAttr); err != nil {
			t.Fatal(err)
		}
		check("without a name", 0)
	}
	if err := l.Note("one"); err != nil {
		t.Fatal(err)
	}
	check("with a note and no name", 0, "one")
	if _, err := fmt.Fprintf(pwriter{l.f}, signature, os.Getpid()); err != nil {
		t.Fatal(err)
	}
	check("where there are no attributes", os.Getpid(), "one")
	if err := l.Note("two"); err != nil {
		t.Fatal(err)
	}
	check("with notes and a name", os.Getpid(), "one", "two")
}

// pwriter writes at the beginning of a file.
type pwriter struct{ f *os.File }

func (w pwriter) Write(p []byte) (int, error) { return w.f.WriteAt(p, 0) }

// TestNoteThatDoesNotFit leaves nothing of it for the next to be taken with.
func TestNoteThatDoesNotFit(t *testing.T) {
	l, err := AcquireLock(t.Context(), filepath.Join(t.TempDir(), "a.lock"), Exclusive, "a", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if err := l.Note("one"); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := limit
	small.Cur = headSize + 10
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	noted := l.Note("too long to fit")
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if noted == nil {
		t.Error("Note = <nil> beyond the limit of a file's size")
	}
	if err := l.Note("two"); err != nil {
		t.Fatal(err)
	}
	if notes, err := l.Notes(); err != nil || !slices.Equal(notes, []string{"one", "two"}) {
		t.Errorf("Notes = %q, %v; want one and two", notes, err)
	}
}
