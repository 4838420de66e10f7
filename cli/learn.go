package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"terrine/builder"
	"terrine/layering"
)

const learnLong = `Estimate how often each package is updated, from two or more images of a project
in order of time, the oldest first, and print the rates or write them to a file,
for --rates and for layering.rates in a spec (see docs/layering.md).

A file is an image archive, what plan --json printed, or a references graph as
--closure takes it, FILE#KEY included; they may be mixed. A package is a name
without version, as Nix takes names apart. Between one image and the next it was
updated if its version changed, or if it changed though nothing that it refers
to did. What refers to something that changed was carried along.

Archives do not say what store paths refer to: their files are searched for it.
Where nothing is found, since it was not Nix that made the paths, only a change
of version counts as an update. Better than archives are plans: keep the output
of plan --json of each release.`

func (a *app) learnCommand() *cobra.Command {
	var output string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "learn OLD… NEW",
		Short: "Learn from earlier images how often packages are updated",
		Long:  learnLong,
		Example: `  terrine learn plan-2024-*.json -o rates.json
  terrine learn shop-1.0.tar.gz shop-1.1.tar.gz new-plan.json -o rates.json
  terrine plan image.json --rates rates.json`,
		Args: arguments(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checkOutput("-o", output); err != nil {
				return err
			}
			p := a.newTerse(quiet)
			defer p.Close()
			rates, learned, err := builder.Learn(cmd.Context(), args, p.watch)
			p.Close()
			if err != nil {
				return err
			}
			if err := a.writeRates(cmd.Context(), rates, output); err != nil {
				return err
			}
			a.sayLearned(rates, learned)
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "-", "`file` to write, or - for stdout")
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}

func (a *app) writeRates(ctx context.Context, rates *layering.Rates, output string) error {
	if output == "-" || output == "" {
		return writeJSON(a.Stdout, rates)
	}
	return writeJSONFile(ctx, output, rates)
}

// sayLearned sums up what was seen.
func (a *app) sayLearned(rates *layering.Rates, learned []builder.Learned) {
	updates, builds := 0, 0
	for _, r := range rates.Packages {
		updates += r.Updates
		builds += r.Builds
	}
	for _, l := range learned {
		if !l.References {
			a.say(fmt.Sprintf("%s: what its paths refer to is not known: only a new version counts as an update", l.File))
		}
	}
	a.say(fmt.Sprintf("%s in %s: %s in %s", count(len(rates.Packages), "package"), count(len(learned), "image"),
		count(updates, "update"), count(builds, "chance")))
}
