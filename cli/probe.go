package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"terrine/builder"
	"terrine/store"
	"terrine/store/fault"
)

type probeJSON struct {
	*buildJSON
	Misses  []missJSON `json:"misses,omitempty"`
	Damaged []lossJSON `json:"damaged,omitempty"`
}

// lossJSON is something that the cache has lost of a store path. It hides no
// digest, but costs time.
type lossJSON struct {
	Layer int        `json:"layer"` // index, bottom first
	Path  store.Path `json:"path"`
	Size  int64      `json:"size"` // of its NAR, in bytes
	What  string     `json:"what"`
	Why   string     `json:"why"`
}

type missJSON struct {
	Layer int          `json:"layer"` // index, bottom first
	Key   string       `json:"key"`
	Why   string       `json:"why"`
	Size  int64        `json:"size"` // sum of NAR sizes, in bytes
	Paths []store.Path `json:"paths"`
}

// probeFlags are those of probe beside those of every spec.
type probeFlags struct {
	specFlags
	cache  cacheFlags
	timing timingFlag
	tags   []string
	layers string // compression of each
	asJSON bool
}

const probeLong = `Tell the digest of the image that build would make of SPEC.json, from what earlier
builds worked out, without opening a file of the store.

If not every layer is known, exits with 3 and lists all that are not, and why:
never built; never compressed; codec changed; evicted, by cache gc; or damaged,
for a layer that was known before the cache was damaged. Every other failure,
such as a cache that cannot be read, has another code.

What is lost of compressed parts and the like hides no digest. It is told as a
warning, or by --json: a build makes it again.`

func (a *app) probeCommand() *cobra.Command {
	f := &probeFlags{specFlags: specFlags{look: true}}
	cmd := &cobra.Command{
		Use:   "probe SPEC.json",
		Short: "Tell the digest of an image before it is built",
		Long:  probeLong,
		Example: `  terrine probe image.json
  terrine probe image.json --json || echo "has to be built"`,
		Args:              arguments(1, 1),
		ValidArgsFunction: completeExtension("json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.timed(cmd, &f.timing, &f.specFlags, args[0], func() error { return a.probe(cmd, f, args[0]) })
		},
	}
	cmd.Flags().StringArrayVarP(&f.tags, "tag", "t", nil, "`name:tag` of the image, instead of that in the spec (repeatable, as for build: the\nfirst is shown, and no digest depends on any)")
	layerCompressionFlag(cmd.Flags(), &f.layers)
	jsonFlag(cmd.Flags(), &f.asJSON)
	quietFlag(cmd.Flags(), &f.quiet)
	f.add(cmd)
	f.timing.add(cmd.Flags())
	f.cache.add(cmd.Flags())
	return cmd
}

func (a *app) probe(cmd *cobra.Command, f *probeFlags, name string) error {
	began := a.Now()
	workers, err := f.workers(cmd.Flags())
	if err != nil {
		return err
	}
	defer a.boundMemory(workers)()
	spec, err := a.spec(cmd.Context(), cmd.Flags(), &f.specFlags, name)
	if err != nil {
		return err
	}
	if _, err := setTags(spec, f.tags); err != nil {
		return err
	}
	codec, err := builder.ParseCompression(f.layers)
	if err != nil {
		return fmt.Errorf("--layer-compression %w", err)
	}
	dir, err := a.needCacheDir(&f.cache)
	if err != nil {
		return err
	}
	m, err := a.openMemo(cmd.Context(), dir, true, nil)
	if err != nil {
		return err
	}
	f.memo = builder.NewMemo(m, nil) // what it cannot keep on the way is no matter
	p := a.newProgress(true)
	defer p.Close()
	return a.withPlan(cmd, &f.specFlags, spec, p, func(ctx context.Context, plan *builder.Plan, _ builder.Options) error {
		result, misses, err := plan.Probe(ctx, f.memo, codec)
		if err != nil {
			return err
		}
		losses, err := plan.Losses(ctx, f.memo)
		switch {
		case err != nil:
			return err
		case result == nil:
			return a.printMisses(misses, losses, f.asJSON)
		case f.asJSON:
			j := resultForJSON(result, a.Now().Sub(began).Seconds())
			return writeJSON(a.Stdout, probeJSON{buildJSON: &j, Damaged: lossesForJSON(losses)})
		}
		a.warnLosses(losses)
		_, err = fmt.Fprintf(a.Stdout, "%s@%s\nimage ID %s\n", result.Reference, result.Digest, result.ImageID)
		return err
	})
}

func lossesForJSON(losses []builder.Loss) (rows []lossJSON) {
	for _, l := range losses {
		rows = append(rows, lossJSON{l.Layer, l.Path, l.Size, l.What, l.Why})
	}
	return rows
}

// warnLosses says what the cache has lost that hides no digest.
func (a *app) warnLosses(losses []builder.Loss) {
	if len(losses) == 0 {
		return
	}
	const most = 5
	for _, l := range losses[:min(most, len(losses))] {
		a.warn(fmt.Sprintf("the cache has lost the %s of %s (%s)", l.What, l.Path, l.Why))
	}
	if more := len(losses) - most; more > 0 {
		a.warn(fmt.Sprintf("%d more like these", more))
	}
	a.say("a build makes again what was lost")
}

// printMisses lists the layers that are not known, and returns the error that
// says so.
func (a *app) printMisses(misses []builder.Miss, losses []builder.Loss, asJSON bool) error {
	if asJSON {
		if err := writeJSON(a.Stdout, probeJSON{Misses: missesForJSON(misses), Damaged: lossesForJSON(losses)}); err != nil {
			return err
		}
	} else {
		if err := writeMisses(a.Stdout, misses); err != nil {
			return err
		}
		a.warnLosses(losses)
	}
	err := errors.New("probe: " + count(len(misses), "layer") + " not known")
	return fault.New(fault.NotCached, fault.Hint(err, "build the image once, here or where its cache is shared"))
}

func missesForJSON(misses []builder.Miss) (rows []missJSON) {
	for _, m := range misses {
		rows = append(rows, missJSON{m.Layer, m.Key.String(), m.Why, m.Size, array(m.Paths)})
	}
	return rows
}

func writeMisses(w io.Writer, misses []builder.Miss) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "LAYER\tWHY\tSIZE\tCONTENTS\n")
	for _, m := range misses {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", m.Layer+1, m.Why, size(m.Size), missContents(m))
	}
	return t.Flush()
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
