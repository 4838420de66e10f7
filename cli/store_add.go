package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"terrine/store"
	"terrine/store/input"
	"terrine/store/unpack"
)

type addFlags struct {
	name   string
	unpack bool
	keep   keepFlag
	asJSON bool
	quiet  bool
}

func (a *app) storeAddCommand(f *storeFlags) *cobra.Command {
	d := &addFlags{}
	cmd := &cobra.Command{
		Use:   "add PATH…",
		Short: "Add files and directories to the store",
		Long: `Copy files and directories into the store and print their store paths, which
depend on name and contents only and are those that "nix-store --add" gives.
References to paths that the store has are found by scanning the contents.

With --unpack each PATH is a tar file, compressed by gzip, xz, zstd, bzip2 or not at
all, and what is added is a directory with what is in it. Names that lead out of that
directory, devices, and what is unpacked through a link are refused.`,
		Example: `  terrine store add ./site
  terrine store add ./build/output --name my-app --root my-app
  terrine store add --unpack site-1.2.tar.gz`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("name") && len(args) > 1 {
				return usagef("--name is for one path, not for %d", len(args))
			}
			if err := d.keep.check(cmd); err != nil {
				return err
			}
			return a.withStore(cmd, f, func(ctx context.Context, s *store.Store) error { return a.add(ctx, s, d, args) })
		},
	}
	cmd.Flags().StringVar(&d.name, "name", "", "`name` in the store path (default: the last element of PATH)")
	cmd.Flags().BoolVar(&d.unpack, "unpack", false, "add what is in a tar file")
	d.keep.add(cmd)
	jsonFlag(cmd.Flags(), &d.asJSON)
	quietFlag(cmd.Flags(), &d.quiet)
	return cmd
}

// add adds what paths name, makes the roots that are asked for, and prints what was
// added.
func (a *app) add(ctx context.Context, s *store.Store, d *addFlags, paths []string) error {
	added, err := a.addPaths(ctx, s, d, paths)
	if err != nil {
		return err
	}
	if err := d.keep.keep(ctx, s, added); err != nil {
		return err
	}
	if !d.unpack {
		if err := a.warnOfSources(ctx, paths); err != nil {
			return err
		}
	}
	return a.printPaths(added, d.asJSON)
}

func (a *app) addPaths(ctx context.Context, s *store.Store, d *addFlags, paths []string) (added []*store.Info, err error) {
	p := a.newTerse(d.quiet)
	defer p.Close()
	defer a.boundMemory(1)() // a directory with a million files has many names
	err = s.Together(ctx, func(to *store.Adder) error {
		added = nil
		for _, path := range paths {
			p.Stage("add "+shortName(path), 0)
			info, err := d.addPath(ctx, to, p, path)
			if err != nil {
				return err
			}
			added = append(added, info)
		}
		return nil
	})
	return added, err
}

// addPath adds what is at path, or what is in it if that is a tar file to unpack.
func (d *addFlags) addPath(ctx context.Context, to *store.Adder, p *progress, path string) (*store.Info, error) {
	o := store.AddOptions{Name: d.name}
	if !d.unpack {
		return to.Add(ctx, path, o)
	}
	f, err := input.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return unpack.AddFile(ctx, to, path, p.watch(f), o)
}

// warnOfSources says what of sources is not in the store.
func (a *app) warnOfSources(ctx context.Context, sources []string) error {
	for _, source := range sources {
		s, err := store.NewSurvey(ctx, source)
		if err != nil {
			return err
		}
		for _, w := range []struct {
			found store.Found
			what  string
		}{
			{s.Attributes, "with extended attributes, which are not kept"},
			{s.SetID, "with setuid or setgid bits, which are not kept"},
			{s.Twins, "whose name some file systems take for another's beside it"},
		} {
			if w.found.Count > 0 {
				a.warn(fmt.Sprintf("add %s: %s %s; the first is %q", source, count(w.found.Count, "file"), w.what, w.found.First))
			}
		}
	}
	return nil
}
