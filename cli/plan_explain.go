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
	"terrine/builder/planfile"
	"terrine/layering"
	"terrine/store"
)

// planView is a plan and what there is to say of it.
type planView struct {
	closure  *store.Closure
	layers   []builder.PlannedLayer
	forecast *builder.Forecast
	root     *planfile.DocumentRoot // nil for a plan of a graph alone
	compared *planfile.Comparison   // nil if it was not asked for
}

func newPlanView(ctx context.Context, plan *builder.Plan) (*planView, error) {
	forecast, err := plan.Forecast(ctx)
	if err != nil {
		return nil, err
	}
	return &planView{closure: plan.Closure(), layers: plan.Layers, forecast: forecast, root: &planfile.DocumentRoot{Key: plan.RootKey}}, nil
}

// writeJSON writes what package planfile reads.
func (v *planView) writeJSON(w io.Writer) error {
	graph, err := planfile.FormatGraph(v.closure.Infos())
	if err != nil {
		return err
	}
	d := planfile.Document{Layers: []planfile.DocumentLayer{}, Root: v.root, Compared: v.compared, Graph: graph}
	d.Expected = planfile.DocumentCost{Pull: v.forecast.Cost.Pull, Chain: v.forecast.Cost.Chain}
	if without := v.forecast.WithoutRates; without != nil {
		d.Expected.WithoutRates = &planfile.DocumentCost{Pull: without.Pull, Chain: without.Chain}
	}
	for i := range v.layers {
		l, e := &v.layers[i], &v.forecast.Layers[i]
		layer := planfile.DocumentLayer{
			Key: l.Key, Name: l.Name, Size: l.Size, Paths: l.Paths(),
			Common: e.Common, Probability: e.Probability, Pull: e.Pull, Share: e.Share, Causes: []planfile.DocumentCause{},
		}
		for _, c := range e.Causes {
			layer.Causes = append(layer.Causes, planfile.DocumentCause(c))
		}
		d.Layers = append(d.Layers, layer)
	}
	return d.Write(w)
}

// write writes a table of layers, with the largest paths of each by name.
func (v *planView) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "LAYER\tSIZE\tPATHS\tCHANGES\tPULL\tCHANGES WITH\tIN COMMON\tCONTENTS\n")
	var total int64
	paths := 0
	for i := range v.layers {
		l, e := &v.layers[i], &v.forecast.Layers[i]
		total += l.Size
		paths += l.Objects.Len()
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", i+1, size(l.Size), l.Objects.Len(),
			percent(e.Probability), percent(e.Share), causes(e.Causes), oneLine(e.Common), contents(l))
	}
	if v.root != nil {
		fmt.Fprintf(t, "%d\t\t0\t\t\t\t\troot layer\n", len(v.layers)+1)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s, %s of store paths\n", count(paths, "path"), size(total))
	if err != nil || paths == 0 {
		return err
	}
	cost := v.forecast.Cost
	_, err = fmt.Fprintf(w, "expected of an update: pull %s, chain %s\n", size(cost.Pull), size(cost.Chain))
	if without := v.forecast.WithoutRates; err == nil && without != nil {
		_, err = fmt.Fprintf(w, "of the plan without rates: pull %s, chain %s; rates save %s and %s\n", size(without.Pull), size(without.Chain),
			saved(without.Pull, cost.Pull), saved(without.Chain, cost.Chain))
	}
	return err
}

// saved is the part of before that after does not have. It may be negative.
func saved(before, after int64) string {
	if before == 0 {
		return percent(0)
	}
	return percent(float64(before-after) / float64(before))
}

func percent(part float64) string {
	return strings.Replace(fmt.Sprintf("%.1f%%", 100*part), "-0.0%", "0.0%", 1)
}

// causes names the packages that a layer changes with.
func causes(list []layering.Cause) string {
	texts := make([]string, len(list))
	for i, c := range list {
		texts[i] = oneLine(c.Package) + " " + percent(c.Share)
	}
	return strings.Join(texts, ", ")
}

// contents names the largest paths of a layer, and the pin that made it.
func contents(l *builder.PlannedLayer) string {
	text := someNames(largestFirst(l.Objects))
	if l.Name != "" {
		text = "[" + oneLine(l.Name) + "] " + text
	}
	return text
}

// largestFirst returns the paths of objects, by NAR size.
func largestFirst(objects store.Objects) []store.Path {
	sorted := make([]store.Object, objects.Len())
	for i := range sorted {
		sorted[i] = objects.At(i)
	}
	slices.SortStableFunc(sorted, func(a, b store.Object) int { return cmp.Compare(b.NARSize, a.NARSize) })
	paths := make([]store.Path, len(sorted))
	for i := range sorted {
		paths[i] = sorted[i].Path
	}
	return paths
}

// someNames names the first of paths.
func someNames(paths []store.Path) string {
	const most = 3
	var names []string
	for _, p := range paths[:min(most, len(paths))] {
		names = append(names, p.Name())
	}
	text := strings.Join(names, ", ")
	if more := len(paths) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
