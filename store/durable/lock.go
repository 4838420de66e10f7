package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// Mode says whether a lock may be held by several at once.
type Mode int

const (
	Exclusive Mode = unix.LOCK_EX
	Shared    Mode = unix.LOCK_SH
)

// How often a lock that another holds is tried again, and how long nobody is
// told of it. flock(2) cannot be left by a context, so waiting is asking.
const (
	firstPause = 200 * time.Microsecond
	lastPause  = 20 * time.Millisecond
	quietWait  = 300 * time.Millisecond
)

// ErrLockLost says that the file of a held lock has been removed or replaced,
// so that another process may hold the same lock.
var ErrLockLost = errors.New("lock file was removed while the lock was held")

// Lock is a held lock. It ends with Release, Remove, or the process.
type Lock struct {
	f    *os.File
	path string
	mode Mode
}

// AcquireLock takes the lock of the file at path, which is created if absent.
// what names the thing protected, for messages. It waits as o and ctx allow.
//
// A shared lock of a file that cannot be created, because the filesystem is
// read-only or not ours to write, is granted without one: nobody who could
// change what it protects can write there either.
func AcquireLock(ctx context.Context, path string, mode Mode, what string, o Options) (*Lock, error) {
	start := time.Now()
	pause, told := firstPause, false
	for {
		l, holder, err := tryLock(path, mode)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", what, err)
		}
		if l != nil {
			return l, nil
		}
		waited := time.Since(start)
		if !told && o.Waiting != nil && waited >= o.quiet() {
			told = true
			o.Waiting(what, holder)
		}
		if o.Timeout > 0 && waited >= o.Timeout {
			return nil, busy(what, holder, o.Timeout)
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("wait for %s: %w", what, err)
		}
		pause = min(pause*2, lastPause)
	}
}

// quiet is how long a wait is kept from the user.
func (o *Options) quiet() time.Duration {
	if o.Timeout > 0 {
		return min(quietWait, o.Timeout/2)
	}
	return quietWait
}

func busy(what string, holder int, waited time.Duration) error {
	by := "another process"
	if holder != 0 {
		by = "process " + strconv.Itoa(holder)
	}
	return fault.New(fault.Busy, fmt.Errorf("lock %s: still held by %s after %s", what, by, waited))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// TryLock takes the lock of the file at path if nobody holds it. It returns
// nil and no error when somebody does.
func TryLock(path string, mode Mode) (*Lock, error) {
	l, _, err := tryLock(path, mode)
	return l, err
}

// tryLock returns a lock, or nil and the process that holds it (0: unknown).
func tryLock(path string, mode Mode) (*Lock, int, error) {
	for {
		f, err := openLock(path, mode)
		if err != nil {
			return nil, 0, err
		}
		if f == nil {
			return &Lock{path: path, mode: mode}, 0, nil
		}
		err = flock(f, int(mode)|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			holder := readHolder(f)
			return nil, holder, f.Close()
		}
		if err != nil {
			f.Close()
			return nil, 0, flockError(path, err)
		}
		l := &Lock{f: f, path: path, mode: mode}
		if err = l.Check(); err == nil {
			l.sign()
			return l, 0, nil
		}
		f.Close()
		if !errors.Is(err, ErrLockLost) {
			return nil, 0, err
		}
		// The holder before us removed the file: lock the one that is there now.
	}
}

// openLock returns nil and no error where a shared lock needs no file.
func openLock(path string, mode Mode) (*os.File, error) {
	if mode == Shared {
		f, err := os.Open(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if mode == Shared && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		return nil, nil
	}
	return f, err
}

func flock(f *os.File, how int) error {
	return fault.Retry(func() error { return unix.Flock(int(f.Fd()), how) })
}

// flockError says what to do where a file system keeps no locks, as some that are
// reached over a network do. On macOS these say ENOTSUP, which is not EOPNOTSUPP there.
func flockError(path string, err error) error {
	named := &fs.PathError{Op: "flock", Path: path, Err: err}
	if err == unix.ENOLCK || err == unix.EINVAL || errors.Is(err, errors.ErrUnsupported) {
		return fault.Hint(fault.New(fault.IO, named), "the file system of "+dirOf(path)+" keeps no locks: name a directory on another one")
	}
	return named
}

// Check returns ErrLockLost if the lock's file is no longer the one locked, or the
// lock has ended. Ask before making something count that the lock protects.
func (l *Lock) Check() error {
	if l.f == nil {
		return nil
	}
	held, err := l.f.Stat()
	var now os.FileInfo
	if err == nil {
		now, err = os.Stat(l.path)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrClosed) || (err == nil && !os.SameFile(held, now)) {
		return fmt.Errorf("%s: %w", l.path, ErrLockLost)
	}
	return err
}

// Release ends the lock and leaves its file.
func (l *Lock) Release() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}

// Remove removes the file of an exclusive lock and ends the lock, so that
// lock files do not pile up.
func (l *Lock) Remove() error {
	if l.f == nil {
		return nil
	}
	var err error
	if l.Check() == nil {
		err = os.Remove(l.path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.f.Close())
}

// Locks are several exclusive locks held at once.
type Locks []*Lock

// LockAll takes the locks of the given names (files DIR/NAME.lock), sorted
// and each once, so that two who want overlapping sets cannot wait for each
// other. describe turns a name into what messages call it; nil is the name.
func LockAll(ctx context.Context, dir string, names []string, describe func(name string) string, o Options) (Locks, error) {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	held := make(Locks, 0, len(names))
	for _, name := range names {
		what := name
		if describe != nil {
			what = describe(name)
		}
		l, err := AcquireLock(ctx, filepath.Join(dir, name+".lock"), Exclusive, what, o)
		if err != nil {
			return nil, errors.Join(err, held.Remove())
		}
		held = append(held, l)
	}
	return held, nil
}

// Check returns the first error of Lock.Check.
func (ls Locks) Check() error {
	for _, l := range ls {
		if err := l.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Remove ends all locks and removes their files.
func (ls Locks) Remove() error {
	var errs []error
	for _, l := range ls {
		errs = append(errs, l.Remove())
	}
	return errors.Join(errs...)
}
