package deb

import (
	"context"
	"fmt"
	"os"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/unpack"
)

// Added is a store path and the packages that are in it.
type Added struct {
	*store.Info
	Packages []*Package
}

// Set is packages in files, resolved. The groups come after those that they
// depend on.
type Set struct {
	Groups  []*Group
	Missing []Missing
	files   map[*Package]string
}

// Open reads the packages in files and resolves what they depend on. Errors name
// the file.
func Open(ctx context.Context, files []string) (*Set, error) {
	s := &Set{files: make(map[*Package]string, len(files))}
	var packages []*Package
	for _, name := range files {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		p, err := readFile(name)
		if err != nil {
			return nil, err
		}
		s.files[p] = name
		packages = append(packages, p)
	}
	var err error
	s.Groups, s.Missing, err = resolve(packages)
	return s, err
}

func readFile(name string) (*Package, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // it is read twice
		return nil, fault.New(fault.Refused, fmt.Errorf("%s: no regular file", name))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := readPackage(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// Add adds the packages to a store, those first that others depend on, and
// returns them in that order. They are unpacked in temp, a directory that
// exists; "" is that of the system. done, if not nil, is called after each.
func (s *Set) Add(ctx context.Context, to unpack.Store, temp string, done func(Added)) ([]Added, error) {
	var all []Added
	paths := make(map[*Group]store.Path, len(s.Groups))
	for _, g := range s.Groups {
		refs := []store.Path{} // not nil: they are known, and not to be looked for
		for _, d := range g.Depends {
			refs = append(refs, paths[d])
		}
		info, err := s.addGroup(ctx, to, temp, g, refs)
		if err != nil {
			return all, err
		}
		paths[g] = info.Path
		a := Added{info, g.Packages}
		all = append(all, a)
		if done != nil {
			done(a)
		}
	}
	return all, nil
}

func (s *Set) addGroup(ctx context.Context, to unpack.Store, temp string, g *Group, refs []store.Path) (*store.Info, error) {
	o := store.AddOptions{Name: g.Name(), References: refs}
	return unpack.Add(ctx, to, temp, g.Name(), o, func(dir string) error {
		for _, p := range g.Packages {
			if err := s.unpack(ctx, p, dir); err != nil {
				return fmt.Errorf("%s: %w", s.files[p], err)
			}
		}
		return nil
	})
}

func (s *Set) unpack(ctx context.Context, p *Package, dir string) error {
	f, err := os.Open(s.files[p])
	if err != nil {
		return err
	}
	defer f.Close()
	return unpackFiles(ctx, f, dir)
}
