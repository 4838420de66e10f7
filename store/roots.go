package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"terrine/store/durable"
	"terrine/store/fault"
)

// Root is what keeps a path, and all that it refers to, from being collected.
// Exactly one of Name, Link and PID is set.
type Root struct {
	Name string // of a named root
	Link string // the symlink of an indirect root, absolute
	PID  int    // the process that uses the path, and 0 if unknown; see Hold
	Path Path
}

// String says what kind of root it is, for messages.
func (r Root) String() string {
	switch {
	case r.Name != "":
		return "root " + r.Name
	case r.Link != "":
		return "link " + r.Link
	case r.PID != 0:
		return "process " + strconv.Itoa(r.PID)
	}
	return "a running process"
}

// AddRoot makes p a root under a name, which must be one that could stand in a
// store path. A root of that name is replaced. If p is not valid,
// errors.Is(err, ErrNotFound).
func (s *Store) AddRoot(ctx context.Context, name string, p Path) error {
	if err := CheckName(name); err != nil {
		return fault.New(fault.Refused, fmt.Errorf("add root: %w", err))
	}
	return s.whileValid(ctx, p, func() error {
		return durable.Symlink(string(p), s.path(rootsDir, name), s.o.durable())
	})
}

// AddIndirectRoot makes a symlink to the object of p, in the place of any
// symlink of that name, and a root that lasts as long as the symlink leads
// there. If p is not valid, errors.Is(err, ErrNotFound).
func (s *Store) AddIndirectRoot(ctx context.Context, link string, p Path) (err error) {
	link, err = filepath.Abs(link)
	if err != nil {
		return err
	}
	if st, err := os.Lstat(link); err == nil && st.Mode().Type() != fs.ModeSymlink {
		return fault.New(fault.Refused, fmt.Errorf("add root %s: there is something that is no symlink", link))
	}
	locks, err := s.lockLink(ctx, link)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Remove()) }()
	return s.whileValid(ctx, p, func() error {
		// A registration without a link is no root, so it comes first.
		if err := durable.Symlink(link, s.linkFile(link), s.o.durable()); err != nil {
			return err
		}
		return durable.Symlink(s.objectPath(p), link, s.o.durable())
	})
}

// linkFile is where the symlink of an indirect root is registered.
func (s *Store) linkFile(link string) string {
	sum := sha256.Sum256([]byte(link))
	return s.path(linksDir, hex.EncodeToString(sum[:16]))
}

// lockLink keeps others from making or removing the same indirect root.
func (s *Store) lockLink(ctx context.Context, link string) (durable.Locks, error) {
	names := []string{filepath.Base(s.linkFile(link))}
	return durable.LockAll(ctx, s.path(locksDir), names, func(string) string { return link }, s.o.durable())
}

// whileValid calls do while p cannot be collected.
func (s *Store) whileValid(ctx context.Context, p Path, do func() error) (err error) {
	shared, err := s.enter(ctx, durable.Shared)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shared.Release()) }()
	if _, err := s.Info(ctx, p); err != nil {
		return err
	}
	if err := do(); err != nil {
		return fmt.Errorf("add root %s: %w", p, err)
	}
	return nil
}

// RemoveRoot removes the root of that name, or else the indirect root of that
// symlink together with the symlink. If there is neither,
// errors.Is(err, fs.ErrNotExist). A symlink that cannot be looked at is left, and an
// error, but no root any more.
func (s *Store) RemoveRoot(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if CheckName(name) == nil {
		err := os.Remove(s.path(rootsDir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, durable.SyncDir(s.path(rootsDir)))
		}
	}
	link, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(s.linkFile(link)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove root %s: %w", name, fs.ErrNotExist)
	}
	return s.removeLink(ctx, link)
}

// removeLink removes the symlink of an indirect root, if it still is one, and then its
// registration: one who was killed between finds it again.
func (s *Store) removeLink(ctx context.Context, link string) (err error) {
	locks, err := s.lockLink(ctx, link)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Remove()) }()
	base, err := s.readLink(link)
	if err != nil {
		// Out of reach, it would keep everything: it stays, but is no root any more.
		return errors.Join(err, removeFile(s.linkFile(link)))
	}
	if base != "" {
		err = removeFile(link)
	}
	if err == nil {
		err = s.o.at("roots.unlinked")
	}
	if err != nil {
		return err
	}
	return removeFile(s.linkFile(link))
}

// Roots returns all roots: by name, then by symlink, then those of processes,
// which the one that calls is among. Symlinks that do not lead to the store
// any more are left out.
func (s *Store) Roots(ctx context.Context) ([]Root, error) {
	var all []Root
	for _, list := range []func() ([]Root, error){s.namedRoots, s.indirectRoots, s.temporaryRoots} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		roots, err := list()
		if err != nil {
			return nil, fmt.Errorf("list roots: %w", err)
		}
		all = append(all, roots...)
	}
	return all, nil
}

func (s *Store) namedRoots() ([]Root, error) {
	var roots []Root
	entries, err := os.ReadDir(s.path(rootsDir))
	for _, e := range entries {
		if CheckName(e.Name()) != nil {
			continue // a symlink on its way
		}
		target, err := os.Readlink(s.path(rootsDir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil && !errors.Is(err, syscall.EINVAL) { // which is that of no symlink
			return nil, fmt.Errorf("root %s: %w", e.Name(), err)
		}
		var p Path
		if err == nil {
			p, err = s.o.Dir.ParsePath(target)
		}
		if err != nil {
			// Who knows what it was to keep: so nothing is collected.
			return nil, fault.New(fault.StoreDamaged, fault.Hint(fmt.Errorf("root %s: %w", e.Name(), err),
				"terrine store roots add puts it right, roots rm removes it"))
		}
		roots = append(roots, Root{Name: e.Name(), Path: p})
	}
	return roots, err
}

func (s *Store) indirectRoots() ([]Root, error) {
	var roots []Root
	entries, err := os.ReadDir(s.path(linksDir))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		link, err := os.Readlink(s.path(linksDir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		base, err := s.readLink(link)
		if err != nil {
			return nil, fault.Hint(err, "terrine store roots rm "+fault.Word(link)+" makes it no root any more")
		}
		if base != "" {
			roots = append(roots, Root{Link: link, Path: s.o.Dir.path(base)})
		}
	}
	slices.SortFunc(roots, func(a, b Root) int { return strings.Compare(a.Link, b.Link) })
	return roots, err
}

// readLink returns the base name of the path that a symlink leads to, or ""
// if it leads to none, or is gone.
func (s *Store) readLink(link string) (string, error) {
	target, err := os.Readlink(link)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOTDIR):
		return "", nil
	case err != nil:
		return "", err // it may well be there: nothing is collected
	}
	return s.baseIn(target), nil
}

// baseIn returns the base name of the path that a symlink with that target leads to, or
// "". It is the one below our objects; or, so that a store may be moved, below any
// nix/store; or else any part that looks like one.
func (s *Store) baseIn(target string) string {
	_, moved, _ := strings.Cut(target, "/"+objectsDir+"/")
	for _, places := range [...]string{below(target, s.RealDir()), below(target, string(s.o.Dir)), moved} {
		if base, _, _ := strings.Cut(places, "/"); checkBase(base) == nil {
			return base
		}
	}
	for part := range strings.SplitSeq(target, "/") {
		if checkBase(part) == nil {
			return part
		}
	}
	return ""
}

// below returns what follows dir and a slash in path, or "".
func below(path, dir string) string {
	rest, ok := strings.CutPrefix(path, dir+"/")
	if !ok {
		return ""
	}
	return rest
}

// pruneLinks forgets indirect roots whose symlinks are gone. The caller has the
// store to itself.
func (s *Store) pruneLinks() error {
	entries, err := os.ReadDir(s.path(linksDir))
	for _, e := range entries {
		file := s.path(linksDir, e.Name())
		link, err := os.Readlink(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // RemoveRoot does not wait for collectors
		}
		if err != nil {
			return err
		}
		base, err := s.readLink(link)
		if err == nil && base == "" {
			err = removeFile(file)
		}
		if err != nil {
			return err
		}
	}
	return err
}

// temporaryRoots returns what running processes hold.
func (s *Store) temporaryRoots() ([]Root, error) {
	var roots []Root
	entries, err := os.ReadDir(s.path(ownersDir))
	for _, e := range entries {
		holder, err := durable.Inspect(s.path(ownersDir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !holder.Held {
			continue // its process is gone
		}
		for _, note := range holder.Notes {
			if base, ok := strings.CutPrefix(note, rootNote); ok && checkBase(base) == nil {
				roots = append(roots, Root{PID: holder.PID, Path: s.o.Dir.path(base)})
			}
		}
	}
	return roots, err
}
