package cli

import (
	"context"

	"github.com/spf13/cobra"

	"terrine/store"
)

type optimisedJSON struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func (a *app) storeOptimiseCommand(f *storeFlags) *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "optimise",
		Short: "Make equal files share their space",
		Long: `Replace files with equal contents in all paths by hard links to one. Commands
that run at the same time may read them; images do not change by it. It may be
stopped and started again.`,
		Example: "  terrine store optimise",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withShownStore(cmd, f, quiet, func(ctx context.Context, s *store.Store, p *progress) error {
				done, err := s.Optimise(ctx)
				p.Done()
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(a.Stdout, optimisedJSON{done.Files, done.Bytes})
				}
				a.say("linked " + count(done.Files, "file") + ", " + size(done.Bytes))
				return nil
			})
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}
