package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/builder"
	"terrine/builder/planfile"
	"terrine/layering"
	"terrine/store/host"
)

// jointView is a joint plan and what there is to say of it.
type jointView struct {
	specs []string
	names []string
	plans []*builder.Plan
	cost  builder.JointCost
}

// planJoint makes one plan of several specs.
func (a *app) planJoint(cmd *cobra.Command, f *planFlags, names []string) error {
	v := &jointView{specs: names}
	p := a.newProgress(true)
	defer p.Close()
	return a.planEach(cmd, f, p, v)
}

// planGraphs makes one plan of several references graphs.
func (a *app) planGraphs(cmd *cobra.Command, f *planFlags, o layering.Options) error {
	v := &jointView{specs: f.graphs, names: f.graphs}
	for _, name := range f.graphs {
		closure, err := host.Open(cmd.Context(), name)
		if err != nil {
			return err
		}
		plan, err := builder.NewGraphPlan(cmd.Context(), name, closure, o)
		if err != nil {
			return err
		}
		v.plans = append(v.plans, plan)
	}
	return a.showJoint(cmd.Context(), v, f.asJSON)
}

// checkJoint refuses too many images for one plan, and flags that are for a single one.
func checkJoint(flags *pflag.FlagSet, images int) error {
	if images > layering.MaxJointImages {
		return usagef("%d images: at most %d can have one plan", images, layering.MaxJointImages)
	}
	for _, name := range []string{"compare", "previous", "plan", "base"} {
		if flags.Changed(name) {
			return usagef("--%s is for one image, and there are %d", name, images)
		}
	}
	return nil
}

// planEach plans the next spec, and all when that was the last. The store stays
// open until all are planned: it keeps what they found in it.
func (a *app) planEach(cmd *cobra.Command, f *planFlags, p *progress, v *jointView) error {
	if len(v.plans) < len(v.specs) {
		spec, err := a.spec(cmd.Context(), cmd.Flags(), &f.specFlags, v.specs[len(v.plans)])
		if err != nil {
			return err
		}
		return a.withPlan(cmd, &f.specFlags, spec, p, func(_ context.Context, plan *builder.Plan, _ builder.Options) error {
			v.plans, v.names = append(v.plans, plan), append(v.names, spec.Name)
			return a.planEach(cmd, f, p, v)
		})
	}
	return a.showJoint(cmd.Context(), v, f.asJSON)
}

// showJoint joins the plans of v and prints them.
func (a *app) showJoint(ctx context.Context, v *jointView, asJSON bool) (err error) {
	if v.cost, err = builder.JoinPlans(ctx, v.plans); err != nil {
		return err
	}
	if asJSON {
		return v.document().Write(a.Stdout)
	}
	return v.write(a.Stdout)
}

// having returns which images have each layer, by its key.
func (v *jointView) having() map[string][]int {
	having := map[string][]int{}
	for i, plan := range v.plans {
		for k := range plan.Layers {
			key := plan.Layers[k].Key.String()
			having[key] = append(having[key], i)
		}
	}
	return having
}

// document is what package planfile reads.
func (v *jointView) document() *planfile.Joint {
	having := v.having()
	j := &planfile.Joint{Union: v.cost.Union, Joint: planfile.JointCost(v.cost.Joint), Alone: planfile.JointCost(v.cost.Alone)}
	for i, plan := range v.plans {
		image := planfile.JointImage{Spec: v.specs[i], Name: v.names[i], Layers: []planfile.JointLayer{}}
		if plan.RootKey != "" {
			image.Root = &planfile.DocumentRoot{Key: plan.RootKey}
		}
		for k := range plan.Layers {
			l := &plan.Layers[k]
			image.Layers = append(image.Layers, planfile.JointLayer{
				Key: l.Key, Size: l.Size, Images: having[l.Key.String()], Paths: l.Paths(),
			})
		}
		j.Images = append(j.Images, image)
	}
	return j
}

// write writes a table of the layers of each image, the shared ones first.
func (v *jointView) write(w io.Writer) error {
	having := v.having()
	for i, plan := range v.plans {
		fmt.Fprintf(w, "%s\n", oneLine(v.specs[i]))
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprint(t, "LAYER\tSIZE\tPATHS\tIMAGES\tCONTENTS\n")
		for k := range plan.Layers {
			l := &plan.Layers[k]
			fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%s\n", k+1, size(l.Size), l.Objects.Len(), len(having[l.Key.String()]), contents(l))
		}
		if plan.RootKey != "" {
			fmt.Fprintf(t, "%d\t\t0\t\troot layer\n", len(plan.Layers)+1)
		}
		fmt.Fprintln(t)
		if err := t.Flush(); err != nil {
			return err
		}
	}
	joint, alone := v.cost.Joint, v.cost.Alone
	_, err := fmt.Fprintf(w, "store paths of all images: %s\nlayers, each once: %s, %s that; of images planned alone: %s, %s\n"+
		"expected of an update, for a host with all images: pull %s; of images planned alone: %s\n",
		size(v.cost.Union), size(joint.Stored), times(joint.Stored, v.cost.Union), size(alone.Stored), times(alone.Stored, v.cost.Union),
		size(joint.Pulled), size(alone.Pulled))
	return err
}

// times is a as a multiple of b.
func times(a, b int64) string {
	if b == 0 {
		return "1.000 times"
	}
	return fmt.Sprintf("%.3f times", float64(a)/float64(b))
}
