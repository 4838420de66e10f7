package durable_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"terrine/store/durable"
	"terrine/store/fault"
)

func acquire(t *testing.T, path string, mode durable.Mode) *durable.Lock {
	t.Helper()
	l, err := durable.AcquireLock(t.Context(), path, mode, "the thing", durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for _, test := range []struct {
		first, second durable.Mode
		want          bool
	}{
		{durable.Exclusive, durable.Exclusive, false},
		{durable.Exclusive, durable.Shared, false},
		{durable.Shared, durable.Exclusive, false},
		{durable.Shared, durable.Shared, true},
	} {
		first := acquire(t, path, test.first)
		second, err := durable.TryLock(path, test.second)
		if err != nil || (second != nil) != test.want {
			t.Errorf("TryLock(%v) beside %v = %v, %v; want held: %v", test.second, test.first, second, err, test.want)
		}
		if second != nil {
			second.Release()
		}
		if err := first.Release(); err != nil {
			t.Error(err)
		}
		acquire(t, path, durable.Exclusive).Remove()
	}
}

// TestLockOfASymlink: it is that of the file which the symlink leads to.
func TestLockOfASymlink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []durable.Mode{durable.Exclusive, durable.Shared} {
		l := acquire(t, link, mode)
		if other, err := durable.TryLock(filepath.Join(dir, "file"), durable.Exclusive); other != nil || err != nil {
			t.Errorf("TryLock of the file = %v, %v; want it held", other, err)
		}
		if err := errors.Join(l.Check(), l.Release()); err != nil {
			t.Error(err)
		}
	}
}

func TestLockTimeoutNamesThingAndHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	defer acquire(t, path, durable.Exclusive).Release()
	_, err := durable.AcquireLock(t.Context(), path, durable.Exclusive, "the thing", durable.Options{Timeout: time.Millisecond})
	want := fmt.Sprintf("lock the thing: still held by process %d after 1ms", os.Getpid())
	if fault.CodeOf(err) != fault.Busy || err.Error() != want {
		t.Errorf("AcquireLock = %v; want Busy %q", err, want)
	}
}

func TestLockWaitEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	defer acquire(t, path, durable.Exclusive).Release()
	ctx, cancel := context.WithCancel(t.Context())
	o := durable.Options{Waiting: func(string, int) { cancel() }}
	_, err := durable.AcquireLock(ctx, path, durable.Exclusive, "the thing", o)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the thing") {
		t.Errorf("AcquireLock = %v; want context.Canceled naming the thing", err)
	}
}

func TestLockNoticesThatItsFileIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l := acquire(t, path, durable.Exclusive)
	if err := l.Check(); err != nil {
		t.Errorf("Check = %v; want <nil>", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); !errors.Is(err, durable.ErrLockLost) {
		t.Errorf("Check after removal = %v; want ErrLockLost", err)
	}
	other := acquire(t, path, durable.Exclusive)
	if err := l.Check(); !errors.Is(err, durable.ErrLockLost) {
		t.Errorf("Check beside a new file = %v; want ErrLockLost", err)
	}
	if err := l.Remove(); err != nil {
		t.Error(err)
	}
	if err := l.Check(); !errors.Is(err, durable.ErrLockLost) {
		t.Errorf("Check after Remove = %v; want ErrLockLost", err)
	}
	if err := other.Check(); err != nil {
		t.Errorf("Check of the new lock after Remove of the lost one = %v; want <nil>", err)
	}
	if err := other.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat after Remove = %v; want not to exist", err)
	}
}

// TestLockIsHeldByOne has goroutines count under a lock whose file each
// removes when it is done, so that the others meet files that are gone.
func TestLockIsHeldByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l, err := durable.AcquireLock(t.Context(), path, durable.Exclusive, "it", durable.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				most.Store(max(most.Load(), inside.Add(1)))
				inside.Add(-1)
				if err := l.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d held the lock at once", most.Load())
	}
}

// TestLockAllInOppositeOrders would not end if the locks were taken as named.
func TestLockAllInOppositeOrders(t *testing.T) {
	dir := t.TempDir()
	forth := []string{"a", "b", "c", "d", "a"}
	back := slices.Clone(forth)
	slices.Reverse(back)
	var wg sync.WaitGroup
	for _, names := range [][]string{forth, back} {
		wg.Go(func() {
			for range 500 {
				ls, err := durable.LockAll(t.Context(), dir, names, nil, durable.Options{Timeout: time.Minute})
				if err != nil {
					t.Error(err)
					return
				}
				if len(ls) != 4 {
					t.Errorf("%d locks; want 4", len(ls))
				}
				if err := errors.Join(ls.Check(), ls.Remove()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestLockAllLetsGoWhatItHadWhenItFails(t *testing.T) {
	dir := t.TempDir()
	defer acquire(t, filepath.Join(dir, "b.lock"), durable.Exclusive).Release()
	o := durable.Options{Timeout: time.Millisecond}
	_, err := durable.LockAll(t.Context(), dir, []string{"a", "b"}, func(name string) string { return "path " + name }, o)
	if fault.CodeOf(err) != fault.Busy || !strings.Contains(err.Error(), "path b") {
		t.Errorf("LockAll = %v; want Busy naming path b", err)
	}
	if l, err := durable.TryLock(filepath.Join(dir, "a.lock"), durable.Exclusive); l == nil {
		t.Errorf("TryLock(a) = nil, %v; want it free", err)
	}
}

func TestNotesOutliveTheirHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l := acquire(t, path, durable.Exclusive)
	for _, note := range []string{"one", "two"} {
		if err := l.Note(note); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("cut o")
	f.Close()
	again := acquire(t, path, durable.Exclusive)
	defer again.Remove()
	if got, err := again.Notes(); !slices.Equal(got, []string{"one", "two"}) || err != nil {
		t.Errorf("Notes = %q, %v; want one, two", got, err)
	}
}
