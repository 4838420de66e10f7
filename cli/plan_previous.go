package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/pflag"

	"terrine/builder"
	"terrine/builder/inspect"
	"terrine/builder/planfile"
	"terrine/store"
	"terrine/store/fault"
	"terrine/store/input"
)

// earlierFlags name what was planned before, and is to be kept to.
type earlierFlags struct {
	previous string
	plan     string
}

func (f *earlierFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.previous, "previous", "", "keep layers of the image before where that costs less: of `OLD`, an archive\nor a plan")
	flags.StringVar(&f.plan, "plan", "", "take the layers of a plan, a `file` that terrine plan --json has printed")
}

// apply reads the files that the flags name.
func (f *earlierFlags) apply(ctx context.Context, flags *pflag.FlagSet, watch planfile.Watch, o *builder.Options) (err error) {
	if f.plan == "" {
		if f.previous != "" {
			o.Previous, err = readPrevious(ctx, f.previous, watch)
		}
		return err
	}
	for _, name := range []string{"previous", "strategy", "rates", "min-size", "pin"} {
		if flags.Changed(name) {
			return usagef("--%s says how to divide, and --plan takes what is divided already", name)
		}
	}
	plans, err := planfile.OpenJoint(ctx, f.plan, watch)
	if err != nil {
		return fmt.Errorf("take layers of a plan: %w", err)
	}
	for _, p := range plans {
		if p.Kind == planfile.Graph {
			return fmt.Errorf("take layers of a plan %s: %w", f.plan, noLayers())
		}
		o.Divisions = append(o.Divisions, p.Groups())
	}
	return nil
}

// readPrevious returns the layers of an image, an archive or a plan.
func readPrevious(ctx context.Context, name string, watch planfile.Watch) (builder.Division, error) {
	old, err := planfile.Open(ctx, name, watch)
	if err != nil {
		return nil, fmt.Errorf("read the previous image: %w", err)
	}
	if old.Kind == planfile.Graph {
		return nil, fmt.Errorf("read the previous image %s: %w", name, noLayers())
	}
	return old.Groups(), nil
}

// noLayers is the error for a references graph where layers are wanted.
func noLayers() error {
	err := fault.Hint(errors.New("a references graph has no layers"), "give an image archive, or what `terrine plan --json` prints")
	return fault.New(fault.Refused, err)
}

// readBase finds out what layers and store paths the image has that --base names.
func (a *app) readBase(ctx context.Context, flags *planFlags) (base builder.Base, err error) {
	name := flags.onBase
	if name == "" {
		return base, nil
	}
	f, err := input.Open(ctx, name)
	if err != nil {
		return base, fmt.Errorf("read the base image: %w", err)
	}
	defer f.Close()
	var images []inspect.Image
	err = a.showReading(flags.quiet, "read", f, func(in io.Reader) (err error) {
		images, err = inspect.Read(ctx, in)
		return err
	})
	if _, reading := errors.AsType[*fs.PathError](err); reading {
		return base, fmt.Errorf("read the base image: %w", err) // says "read FILE"
	}
	if err != nil {
		return base, fmt.Errorf("read the base image %s: %w", name, err)
	}
	if len(images) != 1 {
		return base, fault.New(fault.Refused, fmt.Errorf("read the base image %s: %d images in it: want an archive of one", name, len(images)))
	}
	base.Layers = len(images[0].Layers)
	for _, l := range images[0].Layers {
		for _, p := range l.Paths {
			base.Paths = append(base.Paths, store.Path(p.Path))
		}
	}
	return base, nil
}
