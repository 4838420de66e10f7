package unpack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
)

// scratch is a directory to unpack in:
//
//	terrine-unpack-RANDOM/
//	├── lock    held for as long as somebody unpacks here
//	└── tree    where
type scratch struct {
	dir  string
	lock *durable.Lock
}

// elsewhere begins the advice to unpack in another directory than temp, which is "" if the
// caller has named none.
func elsewhere(temp string) string {
	if temp == "" {
		return "set TMPDIR to"
	}
	return "name"
}

const (
	scratchPrefix = "terrine-unpack-"
	lockName      = "lock"
)

// newScratch makes a scratch in temp, "" being the directory of the system for
// such things. What those who were killed have left there goes first.
func newScratch(temp string) (*scratch, error) {
	advice := elsewhere(temp)
	if temp == "" {
		temp = os.TempDir()
	}
	if err := sweep(temp); err != nil {
		return nil, fmt.Errorf("remove what is left of an earlier run: %w", err)
	}
	for {
		dir, err := os.MkdirTemp(temp, scratchPrefix)
		if err != nil {
			err = fmt.Errorf("make a directory to unpack in: %w", err)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
			return nil, fault.Hint(err, advice+" a directory that you may write to")
		}
		if err != nil {
			return nil, err
		}
		lock, err := durable.TryLock(filepath.Join(dir, lockName), durable.Exclusive)
		if lock == nil && err == nil || errors.Is(err, fs.ErrNotExist) {
			continue // somebody has swept it away in between
		}
		if err != nil {
			return nil, errors.Join(unsuited(fault.Rename(err, filepath.Join(dir, lockName), temp), advice), os.RemoveAll(dir))
		}
		s := &scratch{dir: dir, lock: lock}
		if err := nar.Suits(filepath.Join(dir, "trial")); err != nil {
			return nil, errors.Join(unsuited(fault.Rename(err, dir, temp), advice), s.remove())
		}
		if err := os.Mkdir(filepath.Join(dir, "tree"), 0o755); err != nil {
			return nil, errors.Join(err, s.remove())
		}
		return s, nil
	}
}

// unsuited says what to do about an error of nar.Suits, or of a lock, that says what
// the file system lacks.
func unsuited(err error, advice string) error {
	if fault.HintOf(err) == "" {
		return err
	}
	return fault.Hint(err, "archives are unpacked there first: "+advice+" a directory on another file system")
}

func (s *scratch) path(name string) string { return filepath.Join(s.dir, "tree", name) }

// remove removes a scratch that this process has locked. Last goes the lock, and
// then the directory if it is empty: between the two somebody else may have
// locked it, and so taken it over.
func (s *scratch) remove() error {
	entries, err := os.ReadDir(s.dir)
	errs := []error{err}
	for _, e := range entries {
		if e.Name() != lockName {
			errs = append(errs, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	errs = append(errs, s.lock.Remove())
	if err := os.Remove(s.dir); !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sweep removes scratches of this user that nobody has locked.
func sweep(temp string) error {
	entries, err := os.ReadDir(temp)
	if err != nil {
		return nil // os.MkdirTemp says what is wrong with it
	}
	for _, e := range entries {
		dir := filepath.Join(temp, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), scratchPrefix) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Getuid() {
			continue
		}
		lock, err := durable.TryLock(filepath.Join(dir, lockName), durable.Exclusive)
		if errors.Is(err, fs.ErrNotExist) || err == nil && lock == nil {
			continue // it is gone by now, or somebody's
		}
		if err != nil {
			return err
		}
		if err := (&scratch{dir, lock}).remove(); err != nil {
			return err
		}
	}
	return nil
}
