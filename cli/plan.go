package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"terrine/builder"
	"terrine/layering"
	"terrine/store"
	"terrine/store/host"

	"github.com/spf13/cobra"
)

type planJSON struct {
	Layers []planLayerJSON `json:"layers"`
	Root   *rootJSON       `json:"root,omitempty"`
}

type planLayerJSON struct {
	Key   string       `json:"key"`
	Name  string       `json:"name,omitempty"` // of the pin that made it
	Size  int64        `json:"size"`           // sum of the NAR sizes, in bytes
	Paths []store.Path `json:"paths"`
}

// rootJSON is the layer on top, which has no store paths.
type rootJSON struct {
	Key string `json:"key"`
}

const planLong = `Show which store paths go into which layer of an image, bottom first. No file of
a store path is read. On top of these layers comes the root layer.

With --graph no spec is wanted: the paths are those of a references graph, as
Nix makes it with exportReferencesGraph, or of registration text, and all of the
layers are for them.`

func (a *app) planCommand() *cobra.Command {
	f := &specFlags{}
	var graph string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan SPEC.json | --graph GRAPH.json",
		Short: "Show what would be in which layer",
		Long:  planLong,
		Example: `  terrine plan image.json
  terrine plan image.json --strategy size-first --json
  terrine plan --graph graph.json --max-layers 20`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case graph != "" && len(args) > 0:
				return usagef("terrine plan: either SPEC.json or --graph, not both")
			case graph != "":
				return a.planGraph(cmd, f, graph, asJSON)
			case len(args) == 0:
				return usagef("terrine plan: too few arguments: want SPEC.json, or --graph GRAPH.json")
			}
			return a.planSpec(cmd, f, args[0], asJSON)
		},
		ValidArgsFunction: completeExtension("json"),
	}
	cmd.Flags().StringVar(&graph, "graph", "", "plan the paths of a references graph, `file[#key]`, and no spec")
	jsonFlag(cmd.Flags(), &asJSON)
	f.add(cmd)
	return cmd
}

func (a *app) planSpec(cmd *cobra.Command, f *specFlags, name string, asJSON bool) error {
	spec, err := a.spec(cmd.Flags(), f, name)
	if err != nil {
		return err
	}
	p := a.newProgress(true)
	defer p.Close()
	return a.withPlan(cmd, f, spec, p, func(_ context.Context, plan *builder.Plan, _ builder.Options) error {
		return a.printPlan(plan.Layers, &rootJSON{plan.RootKey.String()}, asJSON)
	})
}

func (a *app) planGraph(cmd *cobra.Command, f *specFlags, graph string, asJSON bool) error {
	flags := cmd.Flags()
	for _, name := range []string{
		"closure", "store", "created", "mtime", "uid", "gid", "uname", "gname", "include-store-paths", "tmp", "conflicts", "join",
		"platform", "label", "annotation", "content-dedup",
	} {
		if flags.Changed(name) {
			return usagef("--%s is for a spec, not for --graph", name)
		}
	}
	o, err := layeringOptions(cmd, f)
	if err != nil {
		return err
	}
	closure, err := host.Open(cmd.Context(), graph)
	if err != nil {
		return err
	}
	layers, err := builder.PlanGraph(cmd.Context(), closure, o)
	if err != nil {
		return err
	}
	return a.printPlan(layers, nil, asJSON)
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
	pins, err := parsePins(f.pins)
	return layering.Options{
		Strategy: spec.Layering.Strategy, MaxLayers: spec.MaxLayers, MinSize: spec.Layering.MinSize, Pins: pins,
	}, err
}

func (a *app) printPlan(layers []builder.PlannedLayer, root *rootJSON, asJSON bool) error {
	if !asJSON {
		return writePlan(a.Stdout, layers, root != nil)
	}
	j := planJSON{Layers: []planLayerJSON{}, Root: root}
	for i := range layers {
		l := &layers[i]
		j.Layers = append(j.Layers, planLayerJSON{Key: l.Key.String(), Name: l.Name, Size: l.Size, Paths: l.Paths()})
	}
	return writeJSON(a.Stdout, j)
}

// writePlan writes a table of layers, with the largest paths of each by name.
func writePlan(w io.Writer, layers []builder.PlannedLayer, root bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "LAYER\tSIZE\tPATHS\tCONTENTS\n")
	var total int64
	paths := 0
	for i := range layers {
		l := &layers[i]
		total += l.Size
		paths += len(l.Objects)
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\n", i+1, size(l.Size), len(l.Objects), contents(l))
	}
	if root {
		fmt.Fprintf(t, "%d\t\t0\troot layer\n", len(layers)+1)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s, %s of store paths\n", count(paths, "path"), size(total))
	return err
}

// contents names the largest paths of a layer, and the pin that made it.
func contents(l *builder.PlannedLayer) string {
	const most = 3
	var b strings.Builder
	if l.Name != "" {
		fmt.Fprintf(&b, "[%s] ", oneLine(l.Name))
	}
	for i, o := range largest(l.Objects, most) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(o.Path.Name())
	}
	if more := len(l.Objects) - most; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// largest returns the n largest of objects, by NAR size.
func largest(objects []store.Object, n int) []store.Object {
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b store.Object) int { return cmp.Compare(b.NARSize, a.NARSize) })
	return sorted[:min(n, len(sorted))]
}
