package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"terrine/builder"
	"terrine/builder/planfile"
	"terrine/store"
)

// States of a layer, compared with the image that a host has.
const (
	layerKept = "kept"
	layerNew  = "new"
	layerGone = "gone"
)

// compareWith compares a plan with the image or plan in the file that --compare
// names; nil without one.
func (a *app) compareWith(ctx context.Context, f *planFlags, v *planView) (*planfile.Comparison, error) {
	name := f.compare
	if name == "" {
		return nil, nil
	}
	p := a.newTerse(f.quiet)
	defer p.Close()
	old, err := planfile.Open(ctx, name, p.watch)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	if old.Kind == planfile.Graph {
		return nil, fmt.Errorf("compare %s: %w", name, noLayers())
	}
	c := compareLayers(old, v.layers)
	if v.root != nil && old.RootKey != "" {
		if c.Root = layerNew; old.RootKey == v.root.Key {
			c.Root = layerKept
		}
	}
	return c, nil
}

// compareLayers finds out which layers are in old. What is there twice counts
// once.
func compareLayers(old *planfile.Plan, layers []builder.PlannedLayer) *planfile.Comparison {
	identity := func(key, paths string) string {
		if old.Kind == planfile.Archive {
			return paths
		}
		return key
	}
	has := map[string]bool{}
	order := make([]string, len(old.Layers))
	for i, l := range old.Layers {
		if order[i] = identity(l.Key.String(), joinPaths(l.Paths)); l.Foreign {
			order[i] = "foreign " + strconv.Itoa(i) // none of ours is that
		}
		has[order[i]] = true
	}
	c := &planfile.Comparison{Layers: []string{}, Gone: []planfile.GoneLayer{}}
	stays := map[string]bool{}
	chained := true // all layers so far are where they were
	for i := range layers {
		l := &layers[i]
		id := identity(l.Key.String(), joinPaths(l.Paths()))
		if chained = chained && i < len(order) && order[i] == id; !chained {
			c.Chain += l.Size
		}
		if stays[id] = true; has[id] {
			c.Layers = append(c.Layers, layerKept)
			c.Kept += l.Size
			continue
		}
		c.Layers = append(c.Layers, layerNew)
		c.Pull += l.Size
	}
	for i, l := range old.Layers {
		if !stays[order[i]] {
			c.Gone = append(c.Gone, planfile.GoneLayer{Size: l.Size, Paths: l.Paths})
		}
	}
	return c
}

func joinPaths(paths []store.Path) string {
	var b strings.Builder
	for _, p := range paths {
		b.WriteString(string(p))
		b.WriteByte('\n') // no path has one
	}
	return b.String()
}

// writeComparison writes a table of what is kept, new and gone.
func (v *planView) writeComparison(w io.Writer) error {
	c := v.compared
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "LAYER\tHOST\tSIZE\tPATHS\tCONTENTS\n")
	fresh := 0
	for i := range v.layers {
		l := &v.layers[i]
		if c.Layers[i] == layerNew {
			fresh++
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\n", i+1, c.Layers[i], size(l.Size), l.Objects.Len(), contents(l))
	}
	if v.root != nil {
		state := c.Root
		if state == "" {
			state = "unknown"
		}
		fmt.Fprintf(t, "%d\t%s\t\t0\troot layer\n", len(v.layers)+1, state)
	}
	var gone int64
	for _, l := range c.Gone {
		gone += l.Size
		fmt.Fprintf(t, "-\t%s\t%s\t%d\t%s\n", layerGone, size(l.Size), len(l.Paths), someNames(l.Paths))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "kept: %s, %s; new: %s, %s; gone: %s, %s\nto pull: %s; for a host that keeps layers as chains: %s\n",
		count(len(v.layers)-fresh, "layer"), size(c.Kept), count(fresh, "layer"), size(c.Pull), count(len(c.Gone), "layer"), size(gone),
		size(c.Pull), size(c.Chain))
	return err
}
