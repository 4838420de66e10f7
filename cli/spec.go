package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/builder"
	"terrine/layering"
	"terrine/store"
	"terrine/store/host"
)

// specFlags are what the commands that read a spec have in common.
type specFlags struct {
	look        bool // nothing is to be added to the store
	store       storeFlags
	closure     string
	given       *store.Closure     // what is in that, once it was read
	fields      map[string]*string // by the name that Spec.Set takes
	platform    string
	labels      []string
	annotations []string
	pins        []string
	earlier     earlierFlags
	dedup       bool
	jobs        int
	quiet       bool            // show no progress
	timing      *builder.Timing // nil if nobody asked for it
	memo        *builder.Memo   // nil to remember nothing
	base        builder.Base    // of a plan alone
}

// specField is a field of a spec that has a flag of its own.
type specField struct{ flag, field, usage string }

func specFields() []specField {
	return []specField{
		{"max-layers", "maxLayers", "at most `N` layers in the image, 2 to 125 (default: 100, unless the spec says)"},
		{"strategy", "layering.strategy", "`how` paths are divided into layers: " + strings.Join(layering.Strategies(), ", ") + "\n(default: the first, unless the spec says)"},
		{"rates", "layering.rates", "`file` of terrine learn, on how often packages are updated"},
		{"min-size", "layering.minSize", "join layers of fewer `bytes` to others"},
		{"created", "created", "`date` of the image: now, RFC 3339 or seconds since 1970 (wins over SOURCE_DATE_EPOCH)"},
		{"mtime", "mtime", "modification `date` of the files in layers"},
		{"uid", "uid", "owner of the store paths in the image, a `number`"},
		{"gid", "gid", "group of them, a `number`"},
		{"uname", "uname", "`name` of that owner"},
		{"gname", "gname", "`name` of that group"},
		{"include-store-paths", "includeStorePaths", "whether store paths are in the image, `true|false`: it may find them mounted"},
		{"tmp", "tmp", "whether to make /tmp and /var/tmp, `true|false`"},
		{"conflicts", "conflicts", "what to do when two contents claim one path, `warn|error`"},
		{"join", "join", "what is joined into the root of the image, `contents|directories|closure`: these,\nthese without links to directories, or also what they refer to"},
	}
}

func (f *specFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.closure, "closure", "", "`file[#key]` with closures of the host's store: JSON of exportReferencesGraph\nor of nix path-info, or registration text")
	f.store.add(flags)
	f.fields = map[string]*string{}
	for _, row := range specFields() {
		f.fields[row.flag] = flags.String(row.flag, "", row.usage)
	}
	flags.StringVar(&f.platform, "platform", "", "`os/arch[/variant]` that the image is for (default: linux and the architecture\nof this machine, unless the spec says)")
	flags.StringArrayVar(&f.labels, "label", nil, "add a label, `name=value` (repeatable)")
	flags.StringArrayVar(&f.annotations, "annotation", nil, "add an annotation of the manifest, `name=value` (repeatable)")
	flags.StringArrayVar(&f.pins, "pin", nil, "put the store paths that match into a layer of their own,\n`glob=layer` (repeatable)")
	f.earlier.add(flags)
	flags.BoolVar(&f.dedup, "content-dedup", false, "make hardlinks of equal files within a store path (see docs/compression.md)")
	flags.IntVarP(&f.jobs, "jobs", "j", 0, "`N` workers (default: one for each processor)")
	complete := func(flag string, values ...string) {
		// The flag is there, so there is no error.
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("strategy", layering.Strategies()...)
	complete("conflicts", builder.ConflictsWarn, builder.ConflictsError)
	complete("join", builder.JoinContents, builder.JoinDirectories, builder.JoinClosure)
	complete("include-store-paths", "true", "false")
	complete("tmp", "true", "false")
}

// spec reads a spec, warns of what is odd in it, and changes it as the flags say.
func (a *app) spec(ctx context.Context, flags *pflag.FlagSet, f *specFlags, name string) (*builder.Spec, error) {
	text, err := a.readSpec(ctx, name)
	if err != nil {
		return nil, err
	}
	spec, err := builder.ParseSpec(text, name)
	if err != nil {
		return nil, err
	}
	a.warnOf(spec)
	for _, row := range specFields() {
		if flags.Changed(row.flag) {
			if err := setField(spec, row.flag, row.field, *f.fields[row.flag]); err != nil {
				return nil, err
			}
		}
	}
	if flags.Changed("platform") {
		if err := setPlatform(spec, f.platform); err != nil {
			return nil, err
		}
	}
	if err := addPairs(spec.AddLabel, f.labels, "label"); err != nil {
		return nil, err
	}
	if err := addPairs(spec.AddAnnotation, f.annotations, "annotation"); err != nil {
		return nil, err
	}
	return spec, addPins(spec, f.pins)
}

// warnOf names what may be a mistake in a spec.
func (a *app) warnOf(spec *builder.Spec) {
	for _, text := range spec.Warnings {
		a.warn(text)
	}
}

// setField sets a field of a spec by a flag, which its errors name.
func setField(spec *builder.Spec, flag, field, value string) error {
	if err := spec.Set(field, value); err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	return nil
}

func (a *app) readSpec(ctx context.Context, name string) ([]byte, error) {
	in, err := a.openInput(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read spec: %w", err)
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, builder.MaxSpecSize+1)) // one more is refused by ParseSpec
	if err != nil {
		return nil, fmt.Errorf("read spec: %w", err)
	}
	return text, nil
}

// isSpec tells whether what is written to output would take the place of the spec.
func isSpec(output, spec string) bool {
	info, err := os.Stat(spec)
	return err == nil && info.Mode().IsRegular() && spec != "-" && leadsTo(output) == leadsTo(spec)
}

// setPlatform takes "linux/arm/v7" apart.
func setPlatform(spec *builder.Spec, s string) error {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return usagef("--platform: %q: want os/arch or os/arch/variant", s)
	}
	for i, field := range []string{"os", "architecture", "variant"}[:len(parts)] {
		if err := setField(spec, "platform", field, parts[i]); err != nil {
			return err
		}
	}
	if len(parts) == 2 {
		spec.Platform.Variant = ""
	}
	return nil
}

// addPairs adds the "name=value" pairs of a flag to a spec.
func addPairs(add func(name, value string) error, pairs []string, flag string) error {
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return usagef("--%s %q: want name=value", flag, pair)
		}
		if err := add(name, value); err != nil {
			return fmt.Errorf("--%s %q: %w", flag, pair, err)
		}
	}
	return nil
}

func addPins(spec *builder.Spec, pins []string) error {
	for _, pin := range pins {
		glob, layer, ok := strings.Cut(pin, "=")
		if !ok || glob == "" || layer == "" {
			return usagef("--pin %q: want glob=layer", pin)
		}
		if err := spec.AddPin(glob, layer); err != nil {
			return fmt.Errorf("--pin %q: %w", pin, err)
		}
	}
	return nil
}

// workers returns what -j asks for.
func (f *specFlags) workers(flags *pflag.FlagSet) (int, error) {
	if !flags.Changed("jobs") {
		return runtime.GOMAXPROCS(0), nil
	}
	return f.jobs, checkJobs(flags, f.jobs)
}

// checkJobs refuses a number that -j was given and cannot have.
func checkJobs(flags *pflag.FlagSet, jobs int) error {
	const most = 1024
	if flags.Changed("jobs") && (jobs < 1 || jobs > most) {
		return usagef("--jobs %d: want 1 to %d", jobs, most)
	}
	return nil
}

// readClosure returns what is in the file that --closure names, nil without one. Of
// several specs the first reads it: it may be large, or a pipe.
func (f *specFlags) readClosure(ctx context.Context) (*store.Closure, error) {
	if f.closure == "" || f.given != nil {
		return f.given, nil
	}
	var err error
	f.given, err = host.Open(ctx, f.closure)
	return f.given, err
}

// readEarlier reads the files that --previous and --plan name.
func (a *app) readEarlier(ctx context.Context, flags *pflag.FlagSet, f *specFlags, o *builder.Options) error {
	p := a.newTerse(f.quiet)
	defer p.Close()
	return f.earlier.apply(ctx, flags, p.watch, o)
}

// withPlan plans the image of a spec and calls do with the plan, while the
// store is open that it may need.
func (a *app) withPlan(cmd *cobra.Command, f *specFlags, spec *builder.Spec, p *progress,
	do func(context.Context, *builder.Plan, builder.Options) error) (err error) {
	ctx := cmd.Context()
	o := builder.Options{Progress: p, SourceDateEpoch: a.Getenv("SOURCE_DATE_EPOCH"), Now: a.Now, ContentDedup: f.dedup, Timing: f.timing}
	if o.Workers, err = f.workers(cmd.Flags()); err != nil {
		return err
	}
	o.Base = f.base
	if err := a.readEarlier(ctx, cmd.Flags(), f, &o); err != nil {
		return err
	}
	var own *store.Store
	defer func() {
		if own != nil {
			err = errors.Join(err, own.Close())
		}
	}()
	o.Memo = f.memo
	o.Sources.Host = f.memo.Host(hostScope(a.Getenv), hostClosure)
	// Where nothing names an own store, the host's may have all that is wanted.
	if _, err := a.storeRoot(&f.store); err == nil {
		o.Sources.Open = func(ctx context.Context) (_ builder.Store, err error) {
			if own, err = a.openStore(ctx, &f.store); err != nil {
				return nil, err
			}
			if f.look {
				return &looking{Store: own, described: map[store.Path]*store.Info{}}, nil
			}
			return own, nil
		}
	}
	f.timing.Begin(builder.PhaseClosure)
	if o.Sources.Closure, err = f.readClosure(ctx); err != nil {
		return err
	}
	plan, err := builder.NewPlan(ctx, spec, o)
	if err != nil {
		return err
	}
	return do(ctx, plan, o)
}
