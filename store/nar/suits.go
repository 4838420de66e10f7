package nar

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// What a file system that is asked to keep a tree has to give back. The dot at
// the end is what some take away.
const (
	suitsFile   = "file."
	suitsExec   = "exec"
	suitsLink   = "link"
	suitsTarget = "to/../nowhere"
)

// Suits reports whether the file system of dst, which must not exist, keeps all
// that a store object is made of: executable bits, symlinks, and names as they
// are given. Some keep the first and last in other ways, and say nothing. The
// error is then of class fault.IO. Nothing is left of dst, nor synced, and errors
// name the directory that it is in.
func Suits(dst string) (err error) {
	within, name := filepath.Dir(filepath.Clean(dst)), filepath.Base(dst)
	parent, err := openDirectory(within)
	if err != nil {
		return fmt.Errorf("open %s: %w", within, err)
	}
	defer unix.Close(parent)
	if err := mkdirat(parent, name, 0o700); err != nil {
		return fmt.Errorf("make a directory in %s: %w", within, err)
	}
	defer func() {
		if removed := remove(parent, name); removed != nil {
			err = errors.Join(err, fmt.Errorf("remove a directory in %s: %w", within, removed))
		}
	}()
	dir, err := openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("open a directory in %s: %w", within, err)
	}
	defer unix.Close(dir)
	what, err := lacking(dir)
	if err != nil {
		return fmt.Errorf("write in %s: %w", within, err)
	}
	if what != "" {
		err := fmt.Errorf("the file system of %s does not keep %s", within, what)
		return fault.Hint(fault.New(fault.IO, err), "name a directory on another one, such as ext4, xfs, btrfs, zfs or tmpfs")
	}
	return nil
}

// lacking says what is not kept in an empty directory, or "".
func lacking(dir int) (string, error) {
	plain, err := keepsMode(dir, suitsFile, modeFile)
	if err != nil {
		return "", err
	}
	exec, err := keepsMode(dir, suitsExec, modeExec)
	if err != nil {
		return "", err
	}
	if !plain || !exec {
		return "which files are executable", nil
	}
	if err := symlinkat(suitsTarget, dir, suitsLink); isLacking(err) || err == unix.EINVAL {
		return "symlinks", nil
	} else if err != nil {
		return "", err
	}
	target := make([]byte, len(suitsTarget)+1)
	if n, err := readlinkat(dir, suitsLink, target); err != nil || string(target[:n]) != suitsTarget {
		return "symlinks", err
	}
	names, err := namesIn(dir)
	if err != nil {
		return "", err
	}
	if !slices.Equal(names, []string{suitsExec, suitsFile, suitsLink}) {
		return "names as they are", nil
	}
	return "", nil
}

// isLacking reports whether err says that the file system has no such thing. There
// are several errors for that, of which macOS has one more than Linux.
func isLacking(err error) bool { return err == unix.EPERM || errors.Is(err, errors.ErrUnsupported) }

// namesIn returns the names in a directory, sorted. It opens the directory anew: of
// one that is open, btrfs lists what was there when it was opened.
func namesIn(dir int) ([]string, error) {
	fd, err := openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	entries, err := list(fd, make([]byte, 8<<10), nil)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.name
	}
	slices.Sort(names)
	return names, nil
}

// keepsMode makes a file as Extract does, and reports whether it then is
// executable if mode says so, and else is not.
func keepsMode(dir int, name string, mode uint32) (bool, error) {
	fd, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, mode)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if err := fchmod(fd, mode); isLacking(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		return false, err
	}
	return uint32(st.Mode)&0o100 == mode&0o100, nil
}
