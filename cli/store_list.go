package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"terrine/store"
)

// infoJSON is a path as `nix path-info --json` shows it.
type infoJSON struct {
	Path       store.Path   `json:"path"`
	NARHash    string       `json:"narHash"` // sha256 in Nix's base-32
	NARSize    int64        `json:"narSize"` // bytes
	References []store.Path `json:"references"`
	Deriver    store.Path   `json:"deriver,omitempty"`
	Signatures []string     `json:"signatures,omitempty"`
	CA         string       `json:"ca,omitempty"`
}

func infoForJSON(info *store.Info) infoJSON {
	return infoJSON{
		Path:       info.Path,
		NARHash:    store.FormatHash(info.NARHash),
		NARSize:    info.NARSize,
		References: array(info.References),
		Deriver:    info.Deriver,
		Signatures: info.Signatures,
		CA:         info.CA,
	}
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
			return a.withPresentStore(cmd, f, func(ctx context.Context, s *store.Store) error {
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
		Long:              "Show the hash and the size of a path, the size of its closure, what it refers\nto and what refers to it.\n\n" + lookup,
		Example:           "  terrine store info /nix/store/…-hello\n  terrine store info ./result --json",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.completePaths(f),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPresentStore(cmd, f, func(ctx context.Context, s *store.Store) error {
				d, own, err := findDetail(ctx, s, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(a.Stdout, detailForJSON(d, own))
				}
				return writeDetail(a.Stdout, d)
			})
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// detailJSON is a path with its place among the others of the store.
type detailJSON struct {
	infoJSON
	ClosureSize int64         `json:"closureSize"` // sum of NAR sizes, in bytes
	Referrers   *[]store.Path `json:"referrers,omitempty"`
}

// detailForJSON leaves out the referrers of a path that is not in the own store:
// nobody has asked for them.
func detailForJSON(d *store.Detail, own bool) detailJSON {
	j := detailJSON{infoJSON: infoForJSON(&d.Info), ClosureSize: d.ClosureSize}
	if own {
		referrers := array(d.Referrers)
		j.Referrers = &referrers
	}
	return j
}

// findDetail looks for a path in the store and then on the host, and says
// whether the store has it.
func findDetail(ctx context.Context, s *store.Store, arg string) (d *store.Detail, own bool, err error) {
	p, err := pathArgument(s, arg)
	if err != nil {
		return nil, false, err
	}
	if d, err = s.Detail(ctx, p); !errors.Is(err, store.ErrNotFound) {
		return d, true, err
	}
	infos, hostErr := hostClosure(ctx, []store.Path{p})
	if hostErr != nil {
		return nil, false, notFound(err, hostErr)
	}
	for _, info := range infos {
		if info.Path == p {
			d = &store.Detail{Info: *info}
		}
	}
	if d == nil {
		return nil, false, err
	}
	for _, info := range infos {
		d.ClosureSize += info.NARSize
	}
	return d, false, nil
}

// notFound is the error for a path that neither the store nor the host has.
func notFound(err, hostErr error) error {
	if !errors.Is(hostErr, store.ErrNotFound) {
		return hostErr
	}
	return err
}

// writeDetail writes a path for people.
func writeDetail(w io.Writer, d *store.Detail) error {
	info := &d.Info
	fmt.Fprintf(w, "path        %s\n", info.Path)
	fmt.Fprintf(w, "narHash     %s\n", store.FormatHash(info.NARHash))
	fmt.Fprintf(w, "narSize     %d (%s)\n", info.NARSize, size(info.NARSize))
	fmt.Fprintf(w, "closureSize %d (%s)\n", d.ClosureSize, size(d.ClosureSize))
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
		fmt.Fprintf(w, "reference   %s\n", ref)
	}
	for _, p := range d.Referrers {
		if _, err := fmt.Fprintf(w, "referrer    %s\n", p); err != nil {
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
			return a.withPresentStore(cmd, f, func(ctx context.Context, s *store.Store) error {
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
	roots, err := pathArguments(s, args)
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
