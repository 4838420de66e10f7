package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
)

// AddOptions say what to add a file or directory as.
type AddOptions struct {
	// Name is what follows the hash in the store path; "" is the base name of
	// the file or directory.
	Name string

	// References are the store paths that the object refers to, which must be
	// valid. nil (not empty) has them found: every valid path whose digest
	// stands somewhere in the contents.
	References []Path
}

// Add copies the file, directory or symlink at path into the store, as a
// source path: one that is named by its contents, like those that
// `nix-store --add` makes. It returns what the store knows of it. What is in
// the store already is not copied again.
//
// A socket, device or FIFO, a name that no store path can have, a file that
// may not be read, and one that changes while it is read are of class
// fault.Refused and named.
func (s *Store) Add(ctx context.Context, path string, o AddOptions) (info *Info, err error) {
	err = s.Together(ctx, func(a *Adder) (err error) {
		info, err = a.Add(ctx, path, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Info(ctx, info.Path)
}

// Describe returns what Add would, and adds nothing. What it describes may refer to
// valid paths, and to others, which are taken for such.
func (s *Store) Describe(ctx context.Context, path string, o AddOptions, others ...Path) (*Info, error) {
	a := &Adder{s: s, early: make(map[Path]*staged, len(others))}
	for _, p := range others {
		a.early[p] = &staged{}
	}
	info, err := a.describeNamed(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("describe %s as a store path: %w", path, err)
	}
	return info, nil
}

// describeNamed gives an object its name and describes it.
func (a *Adder) describeNamed(ctx context.Context, path string, o AddOptions) (*Info, error) {
	if o.Name == "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		o.Name = filepath.Base(abs)
	}
	if err := CheckName(o.Name); err != nil {
		return nil, fault.Hint(fault.New(fault.Refused, err), "give it a name with --name")
	}
	return a.describeHeld(ctx, path, o)
}

// describeHeld is describe, and sees to it that no reference that was found is
// collected before it counts.
func (a *Adder) describeHeld(ctx context.Context, path string, o AddOptions) (*Info, error) {
	for {
		info, err := a.describe(ctx, path, o)
		if err != nil || o.References != nil || len(info.References) == 0 {
			return info, err
		}
		if err := a.s.hold(ctx, append([]Path{info.Path}, info.References...)); err != nil {
			return nil, err
		}
		_, err = a.s.Closure(ctx, slices.DeleteFunc(slices.Clone(info.References), a.isEarly)...)
		if !errors.Is(err, ErrNotFound) {
			return info, err
		}
		// One was collected after it was found. The next look does not find it.
		a.forgetCandidates()
	}
}

// describe reads what is at path and returns the Info of the source path that
// it would be. It may refer to valid paths, and to those that are early.
func (a *Adder) describe(ctx context.Context, path string, o AddOptions) (*Info, error) {
	sum := newNARSum()
	sinks := []io.Writer{sum}
	var scanner *RefScanner
	if o.References == nil {
		var done func()
		var err error
		if scanner, done, err = a.scanner(ctx); err != nil {
			return nil, err
		}
		defer done()
		sinks = append(sinks, scanner)
	}
	if err := nar.Dump(ctx, io.MultiWriter(sinks...), path); err != nil {
		return nil, err
	}
	refs := sortedSet(o.References)
	if scanner != nil {
		refs = sortedSet(scanner.References())
	}
	hash := sum.digest()
	p, err := ContentAddress{MethodNAR, hash}.Path(a.s.o.Dir, o.Name, refs)
	if err != nil {
		return nil, err
	}
	return a.s.normal(&Info{
		Path: p, NARHash: hash, NARSize: sum.size, References: refs, CA: "fixed:r:" + FormatHash(hash),
	})
}

func paths(infos []*Info) []Path {
	list := make([]Path, len(infos))
	for i, info := range infos {
		list[i] = info.Path
	}
	return list
}

// copyOf returns what copies the object at path, which must still be what info was
// made of.
func copyOf(path string, info *Info) filler {
	return func(ctx context.Context, batch *durable.Batch, temp string) error {
		r := dump(ctx, path)
		defer r.Close()
		err := extract(ctx, r, temp, info, batch.Ahead)
		if fault.CodeOf(err) == fault.Integrity {
			return fault.New(fault.Refused, fmt.Errorf("it changed while it was read: %w", err))
		}
		return err
	}
}
