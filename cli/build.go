package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"terrine/builder"
	"terrine/builder/image"
	"terrine/store"
)

type buildJSON struct {
	Digest  string           `json:"digest"`  // of the manifest
	ImageID string           `json:"imageID"` // digest of the config
	Layers  []buildLayerJSON `json:"layers"`  // bottom first
	Seconds float64          `json:"seconds"` // that the build took
}

type buildLayerJSON struct {
	DiffID    string       `json:"diffID"`
	Digest    string       `json:"digest"`
	Size      int64        `json:"size"` // bytes of the blob
	MediaType string       `json:"mediaType"`
	Paths     []store.Path `json:"paths"`
}

// buildFlags are those of build beside those of every spec.
type buildFlags struct {
	specFlags
	cache       cacheFlags
	output      string
	tags        []string
	compression string
	layers      string // compression of each
	members     string
	verify      string
	asJSON      bool
	force       bool
	noSync      bool
	timing      timingFlag
}

const buildLong = `Build the image that SPEC.json describes (see docs/spec.schema.json) and write it
as one archive that docker load, podman load, skopeo and other OCI tools read.

What becomes of OUT follows from its extension: .tar, .tar.gz or .tar.zst. With
- the archive goes to stdout, and all else to stderr. The file appears when it is
complete. A SPEC.json of - is read from stdin, and paths in it are relative to the
working directory.

Flags that are named like fields of the spec win over those. Prints the name and
the digest of the image. The bytes of the archive depend on the spec, on the
contents of the store paths and on nothing else.

What was worked out is kept in a cache, so that the next build costs what has
changed. A file that holds the image already is left as it is.`

func (a *app) buildCommand() *cobra.Command {
	f := &buildFlags{}
	cmd := &cobra.Command{
		Use:   "build SPEC.json -o OUT",
		Short: "Build an image archive",
		Long:  buildLong,
		Example: `  terrine build image.json -o image.tar.gz
  terrine build image.json -o image.tar -t ghcr.io/me/app:1.2 -t app:latest
  terrine build image.json -o - | docker load`,
		Args:              arguments(1, 1),
		ValidArgsFunction: completeExtension("json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.timed(cmd, &f.timing, &f.specFlags, args[0], func() error { return a.build(cmd, f, args[0]) })
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "", "`file` to write, or - for stdout")
	flags.StringArrayVarP(&f.tags, "tag", "t", nil, "`name:tag` of the image, instead of that in the spec (repeatable)")
	flags.StringVar(&f.compression, "compression", "", "`codec` of the archive: none, gzip or zstd, with a level as in gzip:9\nor without (default: by the extension of the file)")
	layerCompressionFlag(flags, &f.layers)
	flags.StringVar(&f.members, "gzip-members", membersMany, "gzip members of the archive, `many|one`: one is for readers that stop after the\nfirst")
	flags.StringVar(&f.verify, "verify", builder.VerifyMeta, "`how` store paths are checked while they are read: none, meta (sizes and times),\nor full (NAR hashes as well; nothing is taken from the cache)")
	jsonFlag(flags, &f.asJSON)
	quietFlag(flags, &f.quiet)
	flags.BoolVar(&f.force, "force", false, "write OUT even if it holds this image already")
	flags.BoolVar(&f.noSync, "no-sync", false, "do not wait for the disk: after a power cut OUT may not be whole")
	f.timing.add(flags)
	f.cache.addOff(flags)
	f.add(cmd)
	return cmd
}

func (a *app) build(cmd *cobra.Command, f *buildFlags, name string) error {
	began := a.Now()
	workers, err := f.workers(cmd.Flags())
	if err != nil {
		return err
	}
	defer a.boundMemory(workers)()
	if namesStdout(f.output) {
		f.output = "-"
	}
	if isSpec(f.output, name) {
		return usagef("-o %s: that is the spec", f.output)
	}
	out, err := a.buildOutput(f)
	if err != nil {
		return err
	}
	spec, err := a.spec(cmd.Context(), cmd.Flags(), &f.specFlags, name)
	if err != nil {
		return err
	}
	if out.References, err = setTags(spec, f.tags); err != nil {
		return err
	}
	p := a.newProgress(f.quiet)
	defer p.Close()
	f.memo = a.buildMemo(cmd.Context(), &f.cache)
	var result *builder.Result
	err = a.withPlan(cmd, &f.specFlags, spec, p, func(ctx context.Context, plan *builder.Plan, o builder.Options) (err error) {
		o.Verify = f.verify
		result, err = plan.WriteArchive(ctx, out, o)
		return err
	})
	p.Close()
	if err != nil {
		return err
	}
	if result.Unchanged && !f.quiet {
		a.say(f.output + " holds this image already, and was left alone")
	}
	a.warnConflicts(result.Conflicts)
	if err := a.warnOfSources(cmd.Context(), spec.Sources()); err != nil {
		return err
	}
	return a.printResult(result, f, a.Now().Sub(began).Seconds())
}

// buildOutput checks the flags that say where the archive goes.
func (a *app) buildOutput(f *buildFlags) (out builder.Output, err error) {
	compression := f.compression
	switch {
	case f.output == "":
		return out, usagef("terrine build: say with -o where the image goes: a .tar, .tar.gz or .tar.zst file, or -")
	case f.timing.file != "" && leadsTo(f.timing.file) == leadsTo(f.output):
		return out, usagef("--timing and -o both want %s", f.output)
	case f.output == "-" && a.StdoutTerminal:
		return out, refuseTerminal("the image", "use -o FILE, or redirect stdout")
	case f.output == "-" && f.asJSON:
		return out, usagef("--json and -o - both want stdout")
	case f.output == "-":
		out.Writer = a.Stdout
	default:
		out.Path, out.Force, out.NoSync = f.output, f.force, f.noSync
	}
	if err := a.checkOutput("-o", f.output); err != nil {
		return out, err
	}
	if compression == "" {
		byName, known := builder.CompressionByName(f.output)
		switch {
		case known:
			compression = byName
		case f.output == "-" || notRegular(f.output):
			compression = "none"
		default:
			return out, usagef("-o %s: want a .tar, .tar.gz or .tar.zst file, or --compression", f.output)
		}
	}
	if out.Codec, err = builder.ParseCompression(compression); err != nil {
		return out, fmt.Errorf("--compression %w", err)
	}
	if out.LayerCodec, err = builder.ParseCompression(f.layers); err != nil {
		return out, fmt.Errorf("--layer-compression %w", err)
	}
	if out.LayerCodec.Algorithm() != "none" && out.Codec.Algorithm() != "none" {
		return out, usagef("--layer-compression %s: the archive is compressed as a whole already; use a .tar", f.layers)
	}
	if err := f.setMembers(&out); err != nil {
		return out, err
	}
	return out, f.checkVerify()
}

// Values of --gzip-members.
const (
	membersMany = "many"
	membersOne  = "one"
)

func (f *buildFlags) setMembers(out *builder.Output) error {
	switch f.members {
	case membersMany:
	case membersOne:
		if out.Codec.Algorithm() != "gzip" {
			return usagef("--gzip-members: the archive is not compressed by gzip")
		}
		out.OneMember = true
	default:
		return usagef("--gzip-members %q: want %s or %s", f.members, membersMany, membersOne)
	}
	return nil
}

func (f *buildFlags) checkVerify() error {
	switch f.verify {
	case builder.VerifyNone, builder.VerifyMeta, builder.VerifyFull:
		return nil
	}
	return usagef("--verify %q: want %s, %s or %s", f.verify, builder.VerifyNone, builder.VerifyMeta, builder.VerifyFull)
}

func layerCompressionFlag(flags *pflag.FlagSet, value *string) {
	flags.StringVar(value, "layer-compression", "none", "`codec` of each layer in the archive: none, gzip or zstd, with a level or\nwithout")
}

// namesStdout reports whether name is what systems call stdout, where the result must
// not follow the archive then.
func namesStdout(name string) bool {
	return name == "/dev/stdout" || name == "/dev/fd/1" || name == "/proc/self/fd/1"
}

// notRegular reports whether there is a pipe or a device of that name.
func notRegular(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().Type()&^fs.ModeDir != 0
}

// setTags gives the spec the first of the names, and returns the others.
func setTags(spec *builder.Spec, tags []string) ([]image.Reference, error) {
	var more []image.Reference
	for i, tag := range tags {
		ref, err := parseReference(tag)
		if err != nil {
			return nil, usagef("--tag %q: %w", tag, err)
		}
		if i == 0 {
			spec.Name, spec.Tag = ref.Name, ref.Tag
			continue
		}
		more = append(more, ref)
	}
	return more, nil
}

// parseReference reads "name:tag"; without a tag it is "latest", as for docker.
func parseReference(s string) (ref image.Reference, err error) {
	name, tag := s, "latest"
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		name, tag = s[:i], s[i+1:]
	}
	if ref.Name, err = image.ParseName(name); err != nil {
		return ref, err
	}
	ref.Tag = tag
	return ref, image.CheckTag(tag)
}

// warnConflicts names the first of the paths that several contents claim.
func (a *app) warnConflicts(conflicts []string) {
	const most = 20
	for _, c := range conflicts[:min(most, len(conflicts))] {
		a.warn(c)
	}
	if more := len(conflicts) - most; more > 0 {
		a.warn(fmt.Sprintf("%s more like these", count(more, "conflict")))
	}
}

// printResult says what was built: on stdout, unless the archive went there.
func (a *app) printResult(result *builder.Result, f *buildFlags, took float64) error {
	line := fmt.Sprintf("%s@%s\n", result.Reference, result.Digest)
	switch {
	case f.asJSON:
		return writeJSON(a.Stdout, resultForJSON(result, took))
	case f.output != "-":
		_, err := fmt.Fprint(a.Stdout, line)
		return err
	case !f.quiet:
		fmt.Fprint(a.Stderr, line)
	}
	return nil
}

func resultForJSON(result *builder.Result, took float64) buildJSON {
	j := buildJSON{Digest: result.Digest.String(), ImageID: result.ImageID.String(), Layers: []buildLayerJSON{}, Seconds: took}
	for _, l := range result.Layers {
		j.Layers = append(j.Layers, buildLayerJSON{
			DiffID: l.DiffID.String(), Digest: l.Digest.String(), Size: l.Size, MediaType: l.MediaType, Paths: array(l.Paths),
		})
	}
	return j
}
