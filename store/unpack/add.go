package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"terrine/store"
	"terrine/store/fault"
)

// Store is a store that objects are added to.
type Store interface {
	Add(ctx context.Context, path string, o store.AddOptions) (*store.Info, error)
}

// Add has fill make a directory, adds that to a store, and removes it. It lies in
// temp, a directory that exists; "" is that of the system. What others who were
// killed have left there is removed too. o.Name must be set. Errors call the directory
// source, which is what it is made of.
func Add(ctx context.Context, to Store, temp, source string, o store.AddOptions, fill func(dir string) error) (_ *store.Info, err error) {
	scratch, err := newScratch(temp)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, scratch.remove()) }()
	dir := scratch.path(o.Name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if err := fill(dir); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil, fault.Hint(fault.Rename(err, dir, source),
			"it is unpacked in "+filepath.Dir(scratch.dir)+" first: free some space there, or "+elsewhere(temp)+" another directory")
	} else if err != nil {
		return nil, fault.Rename(err, dir, source)
	}
	info, err := to.Add(ctx, dir, o)
	return info, fault.Rename(err, dir, source)
}

// AddFile adds what is in f, a tar file of the name file, to a store, and unpacks it in
// the directory of the system for such things. An empty o.Name is that name without
// what ends the names of tar files. See Tar for what is refused.
func AddFile(ctx context.Context, to Store, file string, f io.Reader, o store.AddOptions) (*store.Info, error) {
	if o.Name == "" {
		o.Name = nameOf(file)
	}
	if err := store.CheckName(o.Name); err != nil {
		return nil, fault.Hint(fault.New(fault.Refused, fmt.Errorf("add %s to the store: %w", file, err)), "give it a name with --name")
	}
	return Add(ctx, to, "", file, o, func(dir string) error {
		if err := Tar(ctx, f, dir); err != nil {
			return fmt.Errorf("add %s to the store: %w", file, err)
		}
		return nil
	})
}

// nameOf returns the name of a tar file without its extension.
func nameOf(file string) string {
	name := filepath.Base(file)
	for _, ending := range []string{".tgz", ".txz", ".tbz2", ".tzst", ".gz", ".xz", ".bz2", ".zst"} {
		if cut, ok := strings.CutSuffix(name, ending); ok {
			name = cut
			break
		}
	}
	return strings.TrimSuffix(name, ".tar")
}
