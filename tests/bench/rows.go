package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"terrine/tests/engines"
	"terrine/tests/fixtures"
)

// The bounds. Time is terrine's over the other's.
const (
	tarBound     = 1.0
	smallBound   = 1.3
	peakBound    = 64.0 // MiB
	gzipBound    = 0.2  // five times as fast
	gzipSize     = 1.06
	smallFiles   = 200_000
	smallObjects = 200
)

// input is what both sides of a row make an archive of.
type input struct {
	spec  string // terrine's
	data  string // its XDG_DATA_HOME
	root  string // the directory that the names in list are relative to
	list  string // file with a store path a line, without the leading slash
	top   string // the path whose closure it is
	paths []string
}

// large returns the closure that was asked for, or that of Debian packages, as an
// input.
func (b *bench) large(ctx context.Context) (*input, error) {
	out := b.closure
	if out == "" {
		var err error
		if out, err = fixtures.DebianClosure(ctx, fixtures.Large...); err != nil {
			return nil, err
		}
	}
	query := exec.CommandContext(ctx, "nix-store", "--query", "--requisites", out)
	query.Env = append(os.Environ(), engines.NixEnv()...)
	said, err := query.Output()
	if err != nil {
		return nil, fmt.Errorf("ask nix-store for the closure of %s: %w", out, err)
	}
	return b.prepare(ctx, "large", filepath.Join(b.dir, "data"), "/", strings.Fields(string(said)), out)
}

// prepare writes the spec and the list of an input, and reads its paths once.
// The image has the closure of top, and an empty root layer.
func (b *bench) prepare(ctx context.Context, name, data, root string, paths []string, top string) (*input, error) {
	in := &input{
		spec: filepath.Join(b.dir, name+".json"), list: filepath.Join(b.dir, name+".list"),
		data: data, root: root, paths: paths, top: top,
	}
	spec := fmt.Sprintf(`{"name": %q, "tag": "bench", "config": {"Cmd": [%q]}}`, name, top)
	var list strings.Builder
	for _, p := range paths {
		list.WriteString(strings.TrimPrefix(p, "/") + "\n")
	}
	err := errors.Join(os.WriteFile(in.spec, []byte(spec), 0o600), os.WriteFile(in.list, []byte(list.String()), 0o600))
	if err != nil {
		return nil, err
	}
	// Through a pipe, because GNU tar reads no file when it writes to /dev/null.
	warm := shell(ctx, `tar -c -C "$1" -T "$2" | cat >/dev/null`, in.root, in.list)
	if err := warm.Run(); err != nil {
		return nil, fmt.Errorf("read the paths of %s once: %w", name, err)
	}
	return in, nil
}

// shell returns a command line of sh with its arguments $1, $2, ….
func shell(ctx context.Context, line string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "/bin/sh", append([]string{"-euc", line, "sh"}, args...)...)
}

// build is the side of terrine: a build of in, without a cache, to output.
func (b *bench) build(in *input, output string) side {
	return side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
		cache, err := os.MkdirTemp(b.dir, "cache-")
		if err != nil {
			return nil, err
		}
		return b.terrineCommand(ctx, in.data, cache, "build", in.spec, "-o", output, "--quiet"), nil
	}}
}

// line is a side that is a command line of sh: $1 is the directory, $2 the list
// and $3 the output.
func line(in *input, output, text string) side {
	return side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
		return shell(ctx, text, in.root, in.list, output), nil
	}}
}

func (b *bench) largeTar(ctx context.Context) error {
	in, err := b.large(ctx)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("closure of %d paths: ", len(in.paths))
	if err := b.againstTar(ctx, in, what, tarBound); err != nil {
		return err
	}
	// terrine's output is on disk when it ends. What tar would take for that:
	ours, theirs := filepath.Join(b.dir, "ours.tar"), filepath.Join(b.dir, "theirs.tar")
	us, them, err := b.versus(ctx, b.build(in, ours), line(in, theirs, `tar -cf "$3" -C "$1" -T "$2" && sync "$3"`))
	if err != nil {
		return err
	}
	b.table.compare(what+"x.tar, against tar -cf and sync", "s", 0, us, them, seconds)
	return nil
}

// againstTar compares an archive that is not compressed with GNU tar's.
func (b *bench) againstTar(ctx context.Context, in *input, what string, bound float64) error {
	ours, theirs := filepath.Join(b.dir, "ours.tar"), filepath.Join(b.dir, "theirs.tar")
	us, them, err := b.versus(ctx, b.build(in, ours), line(in, theirs, `tar -cf "$3" -C "$1" -T "$2"`))
	if err != nil {
		return err
	}
	b.table.compare(what+"x.tar, against tar -cf", "s", bound, us, them, seconds)
	b.table.compare(what+"x.tar, processor time", "s", 0, us, them, cpuSeconds)
	b.table.most(what+"x.tar, peak memory", "MiB", peakBound, us, mebibytes)
	return nil
}

func (b *bench) largeGzip(ctx context.Context) error {
	in, err := b.large(ctx)
	if err != nil {
		return err
	}
	ours, theirs := filepath.Join(b.dir, "ours.tar.gz"), filepath.Join(b.dir, "theirs.tar.gz")
	pigz := fmt.Sprintf(`tar -c -C "$1" -T "$2" | pigz -p%d -nT >"$3"`, runtime.NumCPU())
	us, them, err := b.versus(ctx, b.build(in, ours), line(in, theirs, pigz))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("closure of %d paths: x.tar.gz, ", len(in.paths))
	b.table.compare(what+"against tar | pigz", "s", gzipBound, us, them, seconds)
	b.table.compare(what+"processor time", "s", 0, us, them, cpuSeconds)
	b.table.compare(what+"size", "MB", gzipSize, us, them, megabytes)
	b.table.most(what+"peak memory", "MiB", 0, us, mebibytes)
	return nil
}

func (b *bench) smallFiles(ctx context.Context) error {
	in, err := b.small(ctx)
	if err != nil {
		return err
	}
	return b.againstTar(ctx, in, fmt.Sprintf("%d small files: ", smallFiles), smallBound)
}
