package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"terrine/builder"
	"terrine/store"
	"terrine/store/fault"

	"github.com/spf13/cobra"
)

type probeJSON struct {
	*buildJSON
	Misses []missJSON `json:"misses,omitempty"`
}

type missJSON struct {
	Layer int          `json:"layer"` // index, bottom first
	Key   string       `json:"key"`
	Why   string       `json:"why"`
	Size  int64        `json:"size"` // sum of NAR sizes, in bytes
	Paths []store.Path `json:"paths"`
}

const probeLong = `Tell the digest of the image that build would make of SPEC.json, from what earlier
builds worked out, without opening a file of the store.

If not every layer is known, exits with 3 and lists all that are not, and why.
Every other failure has another code.`

func (a *app) probeCommand() *cobra.Command {
	f, cache := &specFlags{}, &cacheFlags{}
	var tags []string
	var asJSON bool
	var layerCompression string
	cmd := &cobra.Command{
		Use:   "probe SPEC.json",
		Short: "Tell the digest of an image before it is built",
		Long:  probeLong,
		Example: `  terrine probe image.json
  terrine probe image.json --json || echo "has to be built"`,
		Args:              arguments(1, 1),
		ValidArgsFunction: completeExtension("json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.probe(cmd, f, cache, args[0], tags, layerCompression, asJSON)
		},
	}
	cmd.Flags().StringArrayVarP(&tags, "tag", "t", nil, "`name:tag` of the image, instead of that in the spec")
	layerCompressionFlag(cmd.Flags(), &layerCompression)
	jsonFlag(cmd.Flags(), &asJSON)
	f.add(cmd)
	cache.add(cmd.Flags())
	return cmd
}

func (a *app) probe(cmd *cobra.Command, f *specFlags, cache *cacheFlags, name string, tags []string, compression string, asJSON bool) error {
	began := a.Now()
	spec, err := a.spec(cmd.Flags(), f, name)
	if err != nil {
		return err
	}
	if _, err := setTags(spec, tags); err != nil {
		return err
	}
	codec, err := builder.ParseCompression(compression)
	if err != nil {
		return err
	}
	p := a.newProgress(true)
	defer p.Close()
	return a.withPlan(cmd, f, spec, p, func(ctx context.Context, plan *builder.Plan, _ builder.Options) error {
		result, misses, err := plan.Probe(ctx, a.buildMemo(ctx, cache, a.say), codec)
		switch {
		case err != nil:
			return err
		case result == nil:
			return a.printMisses(misses, asJSON)
		case asJSON:
			j := resultForJSON(result, a.Now().Sub(began).Seconds())
			return writeJSON(a.Stdout, probeJSON{buildJSON: &j})
		}
		_, err = fmt.Fprintf(a.Stdout, "%s@%s\nimage ID %s\n", result.Reference, result.Digest, result.ImageID)
		return err
	})
}

// printMisses lists the layers that are not known, and returns the error that
// says so.
func (a *app) printMisses(misses []builder.Miss, asJSON bool) error {
	if asJSON {
		j := probeJSON{}
		for _, m := range misses {
			paths := m.Paths
			if paths == nil {
				paths = []store.Path{}
			}
			j.Misses = append(j.Misses, missJSON{m.Layer, m.Key.String(), m.Why, m.Size, paths})
		}
		if err := writeJSON(a.Stdout, j); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprint(t, "LAYER\tWHY\tSIZE\tCONTENTS\n")
		for _, m := range misses {
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", m.Layer+1, m.Why, size(m.Size), missContents(m))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	err := errors.New("probe: " + count(len(misses), "layer") + " not known")
	return fault.New(fault.NotCached, fault.Hint(err, "build the image once, here or where its cache is shared"))
}

func missContents(m builder.Miss) string {
	switch len(m.Paths) {
	case 0:
		return "root layer"
	case 1:
		return m.Paths[0].Name()
	}
	return fmt.Sprintf("%s and %d more", m.Paths[0].Name(), len(m.Paths)-1)
}
