package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"terrine/store"
	"terrine/store/fault"
)

const storeRootsLong = `Work with roots: what keeps paths, and all that they refer to, from "terrine store
gc". A root has a name, or is a symlink outside of the store, which keeps the
path for as long as it leads there. A command that is running also keeps what it
uses.`

func (a *app) storeRootsCommand(f *storeFlags) *cobra.Command {
	return a.groupCommand(&cobra.Command{
		Use:   "roots COMMAND",
		Short: "Work with what keeps paths in the store",
		Long:  storeRootsLong,
		Example: `  terrine store roots add site $(terrine store add ./site)
  terrine store roots ls`,
	}, a.rootsAddCommand(f), a.rootsLsCommand(f), a.rootsRmCommand(f))
}

func (a *app) rootsAddCommand(f *storeFlags) *cobra.Command {
	var indirect bool
	cmd := &cobra.Command{
		Use:   "add NAME PATH",
		Short: "Keep a path",
		Long: `Make a root of a name for a path; a root of that name is replaced. With --indirect
NAME is a symlink to be made, which leads to the files of the path. To let go of
the path then, remove the symlink.`,
		Example: `  terrine store roots add site-2.1 /nix/store/…-site
  terrine store roots add --indirect ./result /nix/store/…-site`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPresentStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				p, err := pathArgument(s, args[1])
				if err != nil {
					return err
				}
				if indirect {
					if err := a.checkOutput("--indirect", filepath.Dir(args[0])); err != nil {
						return err
					}
					return s.AddIndirectRoot(ctx, args[0], p)
				}
				err = s.AddRoot(ctx, args[0], p)
				if fault.CodeOf(err) == fault.Refused {
					err = fault.Hint(err, "for a symlink outside of the store, say --indirect")
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&indirect, "indirect", false, "NAME is a symlink to make")
	return cmd
}

type keeperJSON struct {
	Name    string `json:"name,omitempty"`
	Link    string `json:"link,omitempty"`
	Process int    `json:"process,omitempty"`
	Path    string `json:"path"`
}

func (a *app) rootsLsCommand(f *storeFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List what keeps paths",
		Long:    "List the roots, by name, by symlink, and those of commands that are running.",
		Example: "  terrine store roots ls --json",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withPresentStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				roots, err := s.Roots(ctx)
				if err != nil {
					return err
				}
				return a.printRoots(roots, asJSON)
			})
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

func (a *app) printRoots(roots []store.Root, asJSON bool) error {
	if asJSON {
		list := []keeperJSON{}
		for _, r := range roots {
			list = append(list, keeperJSON{r.Name, r.Link, r.PID, string(r.Path)})
		}
		return writeJSON(a.Stdout, list)
	}
	t := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	for _, r := range roots {
		fmt.Fprintf(t, "%s\t%s\n", oneLine(rootName(r)), r.Path)
	}
	return t.Flush()
}

func rootName(r store.Root) string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Link != "":
		return r.Link
	}
	return "(" + r.String() + ")"
}

func (a *app) rootsRmCommand(f *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME…",
		Short: "Let go of paths",
		Long: `Remove roots by their names, or by their symlinks, which are then removed too.
The paths stay until "terrine store gc". Where there is none of some name, the others
are removed nevertheless.`,
		Example: "  terrine store roots rm site-2.1\n  terrine store roots rm ./result",
		Args:    arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPresentStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				var gone []error // who was stopped and begins again finds some gone
				for _, name := range args {
					err := s.RemoveRoot(ctx, name)
					if errors.Is(err, fs.ErrNotExist) {
						err = fmt.Errorf("remove root %s: there is none of that name", filepath.Clean(name))
						gone = append(gone, fault.Hint(err, "terrine store roots ls shows those there are"))
					} else if err != nil {
						return err
					}
				}
				return errors.Join(gone...)
			})
		},
	}
}
