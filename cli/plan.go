package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/builder"
	"terrine/layering"
	"terrine/store/host"
)

// planFlags are those of plan beside those of every spec.
type planFlags struct {
	specFlags
	graphs  []string
	compare string
	onBase  string
	asJSON  bool
}

const planLong = `Show which store paths go into which layer of an image, bottom first, what the
paths of a layer have in common, how likely the next update changes the layer,
by which packages, and what part it has in the bytes that hosts are expected to
pull then (see docs/layering.md). No file of a store path is read. On top of
these layers comes the root layer.

With --rates, of which terrine learn makes a file, packages are updated as often
as they were; how much that saves is the last line.

With --compare, show which of the layers a host has that has another image, of
which OLD is an archive or what plan --json printed, and what it has to pull.
Against a plan layers are compared by their keys; against an archive, by the
store paths in them, and those that another program has made are all gone.

With --previous, layers of the image before are kept where that costs hosts less,
now and in the builds to come. Give build and probe the same file: a plan depends
on what is in it.

Of several specs or graphs one plan is made, in which they share layers: as little as
possible is to be stored and pulled for all of them. What --json prints, build
and probe take with --plan.

With --graph no spec is wanted: the paths are those of a references graph, as
Nix makes it with exportReferencesGraph, or of registration text, and all of the
layers are for them.`

func (a *app) planCommand() *cobra.Command {
	f := &planFlags{specFlags: specFlags{look: true}}
	cmd := &cobra.Command{
		Use:   "plan SPEC.json… | --graph GRAPH.json",
		Short: "Show what would be in which layer, and why",
		Long:  planLong,
		Example: `  terrine plan image.json
  terrine plan image.json --strategy size-first --json
  terrine plan image.json --compare image-of-last-week.tar.gz
  terrine plan image.json --previous image-of-last-week.tar.gz
  terrine plan web.json worker.json --json > joint.json
  terrine plan --graph graph.json --max-layers 20
  terrine plan --graph web-graph.json --graph worker-graph.json`,
		Args:              arguments(0, -1),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.plan(cmd, f, args) },
		ValidArgsFunction: completeExtension("json"),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&f.graphs, "graph", nil, "plan the paths of a references graph, `file[#key]`, and no spec (repeatable)")
	flags.StringVar(&f.onBase, "base", "", "leave out what another `IMAGE` has, an archive to stand on (for plans only: build has no\nbase images yet)")
	flags.StringVar(&f.compare, "compare", "", "show what a host that has the image of `OLD`, an archive or a plan, has to pull")
	jsonFlag(flags, &f.asJSON)
	quietFlag(flags, &f.quiet)
	f.add(cmd)
	return cmd
}

// plan plans what the flags and arguments name: a spec, a graph, or several of one
// of them.
func (a *app) plan(cmd *cobra.Command, f *planFlags, specs []string) (err error) {
	switch {
	case len(f.graphs) > 0 && len(specs) > 0:
		return usagef("terrine plan: either SPEC.json or --graph, not both")
	case len(f.graphs) == 0 && len(specs) == 0:
		return usagef("terrine plan: too few arguments: want SPEC.json, or --graph GRAPH.json")
	}
	if images := max(len(f.graphs), len(specs)); images > 1 {
		if err := checkJoint(cmd.Flags(), images); err != nil {
			return err
		}
	}
	if f.base, err = a.readBase(cmd.Context(), f); err != nil {
		return err
	}
	switch {
	case len(f.graphs) > 0:
		return a.planGraph(cmd, f)
	case len(specs) > 1:
		return a.planJoint(cmd, f, specs)
	}
	return a.planSpec(cmd, f, specs[0])
}

func (a *app) planSpec(cmd *cobra.Command, f *planFlags, name string) error {
	spec, err := a.spec(cmd.Context(), cmd.Flags(), &f.specFlags, name)
	if err != nil {
		return err
	}
	p := a.newProgress(true)
	defer p.Close()
	return a.withPlan(cmd, &f.specFlags, spec, p, func(ctx context.Context, plan *builder.Plan, _ builder.Options) error {
		view, err := newPlanView(ctx, plan)
		if err != nil {
			return err
		}
		return a.showPlan(ctx, view, f)
	})
}

// graphFlags are the flags that say something of a references graph alone.
var graphFlags = [...]string{"graph", "base", "compare", "json", "max-layers", "strategy", "rates", "min-size", "pin", "previous", "quiet"}

// checkGraphFlags refuses flags that are for a spec.
func checkGraphFlags(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if err == nil && !slices.Contains(graphFlags[:], f.Name) {
			err = usagef("--%s is for a spec, not for --graph", f.Name)
		}
	})
	return err
}

func (a *app) planGraph(cmd *cobra.Command, f *planFlags) error {
	flags := cmd.Flags()
	if err := checkGraphFlags(flags); err != nil {
		return err
	}
	o, err := layeringOptions(cmd, &f.specFlags)
	if err != nil {
		return err
	}
	if len(f.graphs) > 1 {
		return a.planGraphs(cmd, f, o)
	}
	ctx := cmd.Context()
	earlier := builder.Options{Base: f.base}
	if err := a.readEarlier(ctx, flags, &f.specFlags, &earlier); err != nil {
		return err
	}
	if err := earlier.Adapt(&o); err != nil {
		return err
	}
	closure, err := host.Open(ctx, f.graphs[0])
	if err != nil {
		return err
	}
	layers, err := builder.PlanGraph(ctx, closure, o)
	if err != nil {
		return err
	}
	forecast, err := builder.ForecastLayers(ctx, closure, layers, o)
	if err != nil {
		return err
	}
	return a.showPlan(ctx, &planView{closure: closure, layers: layers, forecast: forecast}, f)
}

// layeringOptions are what the flags say of a graph without a spec. The checks
// are those of a spec, but that a single layer will do.
func layeringOptions(cmd *cobra.Command, f *specFlags) (layering.Options, error) {
	spec, err := builder.ParseSpec([]byte(`{"name":"graph"}`), "-")
	if err != nil {
		return layering.Options{}, err
	}
	for _, row := range specFields() {
		value := *f.fields[row.flag]
		if row.flag == "max-layers" && value == "1" {
			spec.MaxLayers = 1
			continue
		}
		if cmd.Flags().Changed(row.flag) {
			if err := setField(spec, row.flag, row.field, value); err != nil {
				return layering.Options{}, err
			}
		}
	}
	if err := addPins(spec, f.pins); err != nil {
		return layering.Options{}, err
	}
	l := &spec.Layering
	o := layering.Options{Strategy: l.Strategy, MaxLayers: spec.MaxLayers, MinSize: l.MinSize, Pins: l.Pins}
	if l.Rates != "" {
		o.Rates, err = builder.ReadRates(cmd.Context(), l.Rates)
	}
	return o, err
}

// showPlan prints a plan, or how it differs from another.
func (a *app) showPlan(ctx context.Context, v *planView, f *planFlags) error {
	var err error
	if v.compared, err = a.compareWith(ctx, f, v); err != nil {
		return err
	}
	switch {
	case f.asJSON:
		return v.writeJSON(a.Stdout)
	case v.compared != nil:
		return v.writeComparison(a.Stdout)
	}
	return v.write(a.Stdout)
}
