package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/input"
	"terrine/store/unpack"
)

func (a *app) storeAddCommand(f *storeFlags) *cobra.Command {
	var name string
	var asJSON, unpacked, quiet bool
	k := &keepFlag{}
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
			named := cmd.Flags().Changed("name")
			if named && len(args) > 1 {
				return usagef("--name is for one path, not for %d", len(args))
			}
			if err := k.check(cmd); err != nil {
				return err
			}
			return a.withStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				added, err := a.addPaths(ctx, s, args, name, unpacked, quiet)
				if err != nil {
					return err
				}
				if err := k.keep(ctx, s, added); err != nil {
					return err
				}
				if !unpacked {
					if err := a.warnOfSources(ctx, args); err != nil {
						return err
					}
				}
				return a.printPaths(added, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` in the store path (default: the last element of PATH)")
	cmd.Flags().BoolVar(&unpacked, "unpack", false, "add what is in a tar file")
	k.add(cmd)
	jsonFlag(cmd.Flags(), &asJSON)
	quietFlag(cmd.Flags(), &quiet)
	return cmd
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

func (a *app) addPaths(ctx context.Context, s *store.Store, args []string, name string, unpacked, quiet bool) (added []*store.Info, err error) {
	p := a.newTerse(quiet)
	defer p.Close()
	o := store.AddOptions{Name: name}
	err = s.Together(ctx, func(to *store.Adder) error {
		added = nil
		for _, arg := range args {
			p.Stage("add "+shortName(arg), 0)
			add := to.Add
			if unpacked {
				add = func(ctx context.Context, path string, o store.AddOptions) (*store.Info, error) {
					f, err := input.Open(ctx, path)
					if err != nil {
						return nil, err
					}
					defer f.Close()
					return unpack.AddFile(ctx, to, "", path, p.watch(f), o)
				}
			}
			info, err := add(ctx, arg, o)
			if err != nil {
				return err
			}
			added = append(added, info)
		}
		return nil
	})
	return added, err
}

func (a *app) storeImportCommand(f *storeFlags) *cobra.Command {
	var asJSON, quiet bool
	k := &keepFlag{}
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Import what nix-store --export has written",
		Long: `Import paths in Nix's export format from a file, or with - from stdin, and
print them. What they refer to must be in the store or come before them.`,
		Example: `  nix-store --export $(nix-store -qR ./result) | terrine store import -
  terrine store import closure.export --root site`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := k.check(cmd); err != nil {
				return err
			}
			in, err := a.openInput(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return a.withStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				var infos []*store.Info
				err := a.showReading(quiet, "import", in, func(in io.Reader) (err error) {
					infos, err = s.ImportStream(ctx, in)
					return err
				})
				if err != nil {
					return err
				}
				if err := k.keep(ctx, s, infos); err != nil {
					return err
				}
				return a.printPaths(infos, asJSON)
			})
		},
	}
	k.add(cmd)
	jsonFlag(cmd.Flags(), &asJSON)
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}

// openInput opens a file, or stdin for "-". Waiting for it ends with ctx, also
// where it is a FIFO.
func (a *app) openInput(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.Stdin), nil
	}
	file, err := input.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close()
		return nil, fault.New(fault.Usage, fmt.Errorf("open %s: is a directory", name))
	}
	return file, nil
}

func (a *app) storeExportCommand(f *storeFlags) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "export PATH…",
		Short: "Export paths as nix-store --import reads them",
		Long: `Write paths to stdout in Nix's export format, each after those it refers to.
Only the paths named are written: see "terrine store closure" for all they need.`,
		Example: `  terrine store export $(terrine store closure /nix/store/…-site) > site.export
  nix-store --import < site.export`,
		Args:              arguments(1, -1),
		ValidArgsFunction: a.completePaths(f),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.StdoutTerminal {
				return refuseTerminal("an export", "redirect stdout to a file or a pipe")
			}
			return a.withShownStore(cmd, f, quiet, func(ctx context.Context, s *store.Store, _ *progress) error {
				paths, err := pathArguments(s, args)
				if err != nil {
					return err
				}
				return s.Export(ctx, a.Stdout, paths...)
			})
		},
	}
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}

// refuseTerminal is the error for binary output that would go to a terminal.
func refuseTerminal(what, hint string) error {
	return fault.New(fault.Usage, fault.Hint(fmt.Errorf("write %s: refusing to write it to a terminal", what), hint))
}
