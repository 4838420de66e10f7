package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"terrine/store"
)

const storeGCLong = `Remove the paths that nothing keeps. What keeps a path is a root (see "terrine
store roots"), a command that is running and uses it, or another path that is
kept and refers to it. Remains of commands that were killed go too.

Commands that run at the same time are not disturbed. The paths that were removed
are printed, those that refer to others before those.`

type collectedJSON struct {
	Paths   []infoJSON `json:"paths"`
	Bytes   int64      `json:"bytes"`   // sum of the NAR sizes
	Garbage int        `json:"garbage"` // what was no path
	DryRun  bool       `json:"dryRun"`
}

func (a *app) storeGCCommand(f *storeFlags) *cobra.Command {
	var o store.GCOptions
	var maxFreed, olderThan string
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove the paths that nothing keeps",
		Long:  storeGCLong,
		Example: `  terrine store gc --dry-run
  terrine store gc --older-than 30d
  terrine store gc --max-freed 10G`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if maxFreed != "" {
				if o.MaxFreed, err = parseSize(maxFreed); err != nil {
					return usagef("--max-freed %q: %w", maxFreed, err)
				}
			}
			if olderThan != "" {
				if o.OlderThan, err = parseAge(olderThan); err != nil {
					return usagef("--older-than %q: %w", olderThan, err)
				}
			}
			return a.withShownStore(cmd, f, quiet, func(ctx context.Context, s *store.Store, p *progress) error {
				c, err := s.GC(ctx, o)
				p.Done()
				return a.printCollected(c, o.DryRun, asJSON, err)
			})
		},
	}
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only say what would be removed")
	cmd.Flags().StringVar(&maxFreed, "max-freed", "", "stop when paths of this many `bytes` are removed, with k, M, G or T or without")
	cmd.Flags().StringVar(&olderThan, "older-than", "", "keep what came into the store within this `time`: 12h, 30d")
	jsonFlag(cmd.Flags(), &asJSON)
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}

// printCollected lists what was removed, also where an error came after that.
func (a *app) printCollected(c *store.Collected, dry, asJSON bool, err error) error {
	if c == nil || (err != nil && len(c.Paths) == 0) {
		return err
	}
	if asJSON {
		j := collectedJSON{Paths: []infoJSON{}, Bytes: c.Bytes, Garbage: c.Garbage, DryRun: dry}
		for _, info := range c.Paths {
			j.Paths = append(j.Paths, infoForJSON(info))
		}
		if writeErr := writeJSON(a.Stdout, j); writeErr != nil {
			return writeErr
		}
		return err
	}
	if printErr := a.printPaths(c.Paths, false); printErr != nil {
		return printErr
	}
	verb := "removed"
	if dry {
		verb = "would remove"
	}
	line := fmt.Sprintf("%s %s, %s", verb, count(len(c.Paths), "path"), size(c.Bytes))
	if c.Garbage > 0 {
		line += fmt.Sprintf(", and %s of commands that were stopped", count(c.Garbage, "remain"))
	}
	a.say(line)
	return err
}

func (a *app) storeDeleteCommand(f *storeFlags) *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "delete PATH…",
		Short: "Remove paths that nothing keeps",
		Long: `Remove paths, all of them or none. A path that another refers to which is not
to be removed too, that is a root, or that a running command uses, is refused;
the error names what keeps it.`,
		Example:           "  terrine store delete /nix/store/…-site",
		Args:              arguments(1, -1),
		ValidArgsFunction: a.completePaths(f),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withShownStore(cmd, f, quiet, func(ctx context.Context, s *store.Store, p *progress) error {
				paths, err := pathArguments(s, args)
				if err != nil {
					return err
				}
				c, err := s.Delete(ctx, paths...)
				p.Done()
				return a.printCollected(c, false, asJSON, err)
			})
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}
