package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"terrine/store"
)

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
