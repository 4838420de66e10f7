package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
)

// owner names the temporary directories and roots of one Store. Its file is
// locked for as long as the Store is in use; a file that is not says that its
// process is gone, and that its temporary directories and roots are nobody's.
type owner struct {
	name string
	lock *durable.Lock

	mu    sync.Mutex
	next  int
	held  map[Path]bool // the temporary roots that are noted
	suits bool          // the file system is known to keep objects as they are
	hurry bool          // its process was told to stop
}

// hurried is how long a process that was told to stop removes what it was
// about to remove. The rest is left to the next one.
const hurried = time.Second

const tempPrefix = ".tmp-"

// What an owner notes in its file, each with a base name behind it.
const (
	tempNote = "temp " // a temporary name in the objects directory
	rootNote = "root " // a path that must not be collected
)

// claim returns the owner of this Store, made on first use; it then also
// removes what processes that are gone have left.
func (s *Store) claim(ctx context.Context) (*owner, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != nil {
		return s.owner, nil
	}
	if err := s.sweep(ctx, os.Getpid(), claimSweep); err != nil {
		return nil, err
	}
	opts := s.o.durable()
	token, err := opts.Token()
	if err != nil {
		return nil, err
	}
	name := strconv.Itoa(os.Getpid()) + "-" + token
	lock, err := durable.AcquireLock(ctx, s.path(ownersDir, name), durable.Exclusive, "a note of what this process uses", opts)
	if err != nil {
		return nil, ownerError(err, name)
	}
	s.owner = &owner{name: name, lock: lock, held: make(map[Path]bool)}
	return s.owner, nil
}

// temp returns a new name in the objects directory, after noting it.
func (s *Store) temp(ctx context.Context) (string, error) {
	o, err := s.claim(ctx)
	if err != nil {
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next++
	name := tempPrefix + o.name + "-" + strconv.Itoa(o.next)
	if err := o.note(tempNote + name); err != nil {
		return "", err
	}
	return s.path(objectsDir, name), nil
}

// newObject is temp for an object that is to be made. The first time it makes
// sure that the file system keeps what objects are made of: on one that takes
// all files for executable, all that is acknowledged would be damaged.
func (s *Store) newObject(ctx context.Context) (string, error) {
	o, err := s.claim(ctx)
	if err != nil {
		return "", err
	}
	o.mu.Lock()
	suits := o.suits
	o.mu.Unlock()
	if !suits {
		trial, err := s.temp(ctx)
		if err != nil {
			return "", err
		}
		if err := nar.Suits(trial); err != nil {
			return "", err
		}
		o.mu.Lock()
		o.suits = true
		o.mu.Unlock()
	}
	return s.temp(ctx)
}

// note adds a line to the file of the owner.
func (o *owner) note(line string) error { return ownerError(o.lock.Note(line), o.name) }

// ownerError names the directory of the file of an owner, which is nothing to a user.
func ownerError(err error, name string) error {
	return fault.Rename(err, string(filepath.Separator)+name, "")
}

// claimSweep is how many owners a process looks at before it becomes one: with
// thousands of them that run, more would be felt.
const claimSweep = 200

// sweep removes the temporary directories of owners that are gone. It looks at
// no more than most of them, from the given one on.
func (s *Store) sweep(ctx context.Context, from, most int) error {
	entries, err := os.ReadDir(s.path(ownersDir))
	if err != nil {
		return err
	}
	for i := range min(most, len(entries)) {
		e := entries[(from+i)%len(entries)]
		lock, err := durable.TryLock(s.path(ownersDir, e.Name()), durable.Exclusive)
		if err != nil {
			return err
		}
		if lock == nil {
			continue // it is running
		}
		if err := s.disown(ctx, &owner{name: e.Name(), lock: lock}); err != nil {
			return fmt.Errorf("remove what is left of an earlier run: %w", err)
		}
	}
	return nil
}

// disown removes what an owner has noted, and then the owner. When ctx ends, or the time
// of an owner in a hurry, it leaves both to the next.
func (s *Store) disown(ctx context.Context, o *owner) error {
	notes, err := o.lock.Notes()
	if err != nil {
		return errors.Join(err, o.lock.Release())
	}
	until := ctx
	if o.hurry {
		var cancel context.CancelFunc
		until, cancel = context.WithTimeout(ctx, hurried)
		defer cancel()
	}
	for _, note := range notes {
		name, ok := strings.CutPrefix(note, tempNote)
		if !ok || !strings.HasPrefix(name, tempPrefix+o.name+"-") || name != filepath.Base(name) {
			continue
		}
		err := removeTreeUntil(until, s.path(objectsDir, name))
		switch {
		case ctx.Err() != nil:
			return errors.Join(context.Cause(ctx), o.lock.Release())
		case until.Err() != nil:
			return o.lock.Release()
		case err != nil:
			return errors.Join(err, o.lock.Release())
		}
	}
	return o.lock.Remove()
}

// clear moves what is at path, if anything, out of the way and removes it.
func (s *Store) clear(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	away, err := s.temp(ctx)
	if err != nil {
		return err
	}
	if err := os.Rename(path, away); err != nil {
		return err
	}
	return removeTree(away)
}
