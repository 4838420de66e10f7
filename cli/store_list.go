package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"terrine/store"
	"terrine/store/fault"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// infoJSON is a path as `nix path-info --json` shows it.
type infoJSON struct {
	Path       string   `json:"path"`
	NARHash    string   `json:"narHash"` // sha256 in Nix's base-32
	NARSize    int64    `json:"narSize"` // bytes
	References []string `json:"references"`
	Deriver    string   `json:"deriver,omitempty"`
	Signatures []string `json:"signatures,omitempty"`
	CA         string   `json:"ca,omitempty"`
}

func infoForJSON(info *store.Info) infoJSON {
	j := infoJSON{
		Path:       string(info.Path),
		NARHash:    store.FormatHash(info.NARHash),
		NARSize:    info.NARSize,
		References: []string{},
		Deriver:    string(info.Deriver),
		Signatures: info.Signatures,
		CA:         info.CA,
	}
	for _, ref := range info.References {
		j.References = append(j.References, string(ref))
	}
	return j
}

func jsonFlag(flags *pflag.FlagSet, to *bool) {
	flags.BoolVar(to, "json", false, "print JSON")
}

// printPaths lists paths, one a line, or as JSON all that is known of them.
func (a *app) printPaths(infos []*store.Info, asJSON bool) error {
	if asJSON {
		list := make([]infoJSON, len(infos))
		for i, info := range infos {
			list[i] = infoForJSON(info)
		}
		return writeJSON(a.Stdout, list)
	}
	for _, info := range infos {
		if _, err := fmt.Fprintln(a.Stdout, info.Path); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) storeLsCommand(f *storeFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the paths in the store",
		Long:    "List the valid paths of the store, sorted.",
		Example: "  terrine store ls\n  terrine store ls --json",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				infos, err := s.List(ctx)
				if err != nil {
					return err
				}
				return a.printPaths(infos, asJSON)
			})
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

const lookup = `A path that the store does not have is asked of the host's Nix, if there is one.
Instead of a store path, a path below one will do, and a symlink to either.`

func (a *app) storeInfoCommand(f *storeFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "info PATH",
		Short:             "Show what is known of a path",
		Long:              "Show the hash, the size and the references of a path.\n\n" + lookup,
		Example:           "  terrine store info /nix/store/…-hello\n  terrine store info ./result --json",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.completePaths(f),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				info, err := findInfo(ctx, s, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(a.Stdout, infoForJSON(info))
				}
				return writeInfo(a.Stdout, info)
			})
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// findInfo looks for a path in the store and then on the host.
func findInfo(ctx context.Context, s *store.Store, arg string) (*store.Info, error) {
	p, err := pathArgument(s.Dir(), arg)
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx, p)
	if !errors.Is(err, store.ErrNotFound) {
		return info, err
	}
	infos, hostErr := hostClosure(ctx, []store.Path{p})
	if hostErr != nil {
		return nil, notFound(err, hostErr)
	}
	for _, info := range infos {
		if info.Path == p {
			return info, nil
		}
	}
	return nil, err
}

// notFound is the error for a path that neither the store nor the host has.
func notFound(err, hostErr error) error {
	if !errors.Is(hostErr, store.ErrNotFound) {
		return hostErr
	}
	return fault.Hint(err, "terrine store ls shows the paths there are; terrine store add or import makes others")
}

// writeInfo writes a path for people.
func writeInfo(w io.Writer, info *store.Info) error {
	fmt.Fprintf(w, "path        %s\n", info.Path)
	fmt.Fprintf(w, "narHash     %s\n", store.FormatHash(info.NARHash))
	fmt.Fprintf(w, "narSize     %d (%s)\n", info.NARSize, size(info.NARSize))
	if info.Deriver != "" {
		fmt.Fprintf(w, "deriver     %s\n", info.Deriver)
	}
	if info.CA != "" {
		fmt.Fprintf(w, "ca          %s\n", info.CA)
	}
	for _, s := range info.Signatures {
		fmt.Fprintf(w, "signature   %s\n", s)
	}
	for _, ref := range info.References {
		if _, err := fmt.Fprintf(w, "reference   %s\n", ref); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) storeClosureCommand(f *storeFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "closure PATH…",
		Short: "List the closure of paths",
		Long: "List paths and all that they refer to, directly or not, sorted.\n\n" +
			lookup,
		Example: `  terrine store closure ./result
  terrine store export $(terrine store closure /nix/store/…-site) | nix-store --import`,
		Args:              arguments(1, -1),
		ValidArgsFunction: a.completePaths(f),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				infos, err := findClosure(ctx, s, args)
				if err != nil {
					return err
				}
				return a.printPaths(infos, asJSON)
			})
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// findClosure finds the closure of all paths in the store or else on the host.
func findClosure(ctx context.Context, s *store.Store, args []string) ([]*store.Info, error) {
	roots, err := pathArguments(s.Dir(), args)
	if err != nil {
		return nil, err
	}
	infos, err := s.Closure(ctx, roots...)
	if !errors.Is(err, store.ErrNotFound) {
		return infos, err
	}
	infos, hostErr := hostClosure(ctx, roots)
	if hostErr != nil {
		return nil, notFound(err, hostErr)
	}
	return infos, nil
}
