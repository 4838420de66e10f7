//go:build !linux

package commands

import (
	"context"
	"errors"
	"os"
	"syscall"

	"terrine/store/fault"
)

// identify returns what the file at path, not what it links to, is known by,
// and its owner on disk.
func identify(path string) (fileID, owner, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return fileID{}, owner{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, owner{}, &os.PathError{Op: "stat", Path: path, Err: errors.ErrUnsupported}
	}
	return fileID{Dev: uint64(st.Dev), Ino: st.Ino}, owner{int(st.Uid), int(st.Gid)}, nil
}

// runAsRoot has no namespaces to run in.
func runAsRoot(context.Context, Script, []string, Options, *Owners) error {
	return fault.New(fault.Refused, fault.Hint(errors.New("commands as root need the namespaces of Linux"), declare))
}

// runGuarded has no namespaces either: it leaves it to the rights of files.
func runGuarded(context.Context, []string, Options) (bool, error) { return false, nil }

// Enter is for Linux.
func Enter(context.Context, *os.File, *os.File) error { return errors.ErrUnsupported }

// Exec is for Linux.
func Exec([]string) error { return errors.ErrUnsupported }
