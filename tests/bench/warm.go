package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"terrine/tests/engines"
)

// The bounds of what the cache is for. Times are ratios, but where a unit is
// named. A build ends when its output is on disk, a cp does not wait for that; so
// a build is held against cp and sync, and one with --no-sync against cp alone.
const (
	copyBound    = 1.2      // warm, against cp of the archive
	pigzBound    = 1.0 / 30 // warm, against tar | pigz
	changedBound = 1.5      // one path changed, against cp
	sameBound    = 0.1      // s; nothing changed
	coldBound    = 1.25     // against the slowest of the limits
	changedFiles = 2500     // of the path that changes: 5 MB, less than 1 % of the closure
	peakBase     = 64.0     // MiB
	peakWorker   = 8.0      // MiB for each worker
)

// warmInput is an input with a cache that knows it, and its archives.
type warmInput struct {
	*input
	cache string
	ref   map[string]string // archive by extension
}

// warmed builds the large input once in both forms with a cache.
func (b *bench) warmed(ctx context.Context) (*warmInput, error) {
	in, err := b.large(ctx)
	if err != nil {
		return nil, err
	}
	w := &warmInput{input: in, cache: filepath.Join(b.dir, "warm-cache"), ref: map[string]string{}}
	for _, ext := range []string{".tar", ".tar.gz"} {
		w.ref[ext] = filepath.Join(b.dir, "ref"+ext)
		if err := b.terrineCommand(ctx, in.data, w.cache, "build", in.spec, "-o", w.ref[ext], "--quiet").Run(); err != nil {
			return nil, fmt.Errorf("fill the cache: %w", err)
		}
	}
	return w, nil
}

// terrineCommand is a call of terrine.
func (b *bench) terrineCommand(ctx context.Context, data, cache string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.terrine, args...)
	cmd.Env = append(os.Environ(), engines.NixEnv()...)
	cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+cache, "XDG_DATA_HOME="+data)
	return cmd
}

// rebuild is the side of terrine with a warm cache.
func (b *bench) rebuild(w *warmInput, output string, flags ...string) side {
	return side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
		return b.terrineCommand(ctx, w.data, w.cache, append([]string{"build", w.spec, "-o", output, "--quiet"}, flags...)...), nil
	}}
}

func copySide(from, to string) side {
	return side{output: to, command: func(ctx context.Context) (*exec.Cmd, error) {
		return exec.CommandContext(ctx, "cp", from, to), nil
	}}
}

func copySyncSide(from, to string) side {
	return side{output: to, command: func(ctx context.Context) (*exec.Cmd, error) {
		return shell(ctx, `cp "$1" "$2" && sync "$2"`, from, to), nil
	}}
}

// warm measures builds that find everything in the cache.
func (b *bench) warm(ctx context.Context) error {
	w, err := b.warmed(ctx)
	if err != nil {
		return err
	}
	for _, ext := range []string{".tar", ".tar.gz"} {
		ours, theirs := filepath.Join(b.dir, "ours"+ext), filepath.Join(b.dir, "theirs"+ext)
		s, err := b.turns(ctx, b.rebuild(w, ours), copySyncSide(w.ref[ext], theirs), b.rebuild(w, ours, "--no-sync"), copySide(w.ref[ext], theirs))
		if err != nil {
			return err
		}
		what := "nothing changed: x" + ext
		b.table.compare(what+", against cp of it and sync", "s", copyBound, s[0], s[1], seconds)
		b.table.compare(what+" --no-sync, against cp of it", "s", copyBound, s[2], s[3], seconds)
		b.table.compare(what+", against cp of it", "s", 0, s[0], s[3], seconds)
		b.table.compare(what+" --no-sync, processor time, against cp", "s", 0, s[2], s[3], cpuSeconds)
		b.table.most(what+", peak memory", "MiB", peakBase+peakWorker*float64(runtime.NumCPU()), s[0], mebibytes)
	}
	if err := b.unchanged(ctx, w); err != nil {
		return err
	}
	return b.oneChanged(ctx, w)
}

// pigz compares the warm x.tar.gz with what there was before.
func (b *bench) pigz(ctx context.Context) error {
	w, err := b.warmed(ctx)
	if err != nil {
		return err
	}
	pigz := fmt.Sprintf(`tar -c -C "$1" -T "$2" | pigz -p%d -nT >"$3"`, runtime.NumCPU())
	us, them, err := b.versus(ctx, b.rebuild(w, filepath.Join(b.dir, "ours.tar.gz")), line(w.input, filepath.Join(b.dir, "theirs.tar.gz"), pigz))
	if err != nil {
		return err
	}
	b.table.compare("nothing changed: x.tar.gz, against tar | pigz -nT", "s", pigzBound, us, them, seconds)
	return nil
}

// unchanged measures builds onto an output that holds the image already.
func (b *bench) unchanged(ctx context.Context, w *warmInput) error {
	s := b.rebuild(w, w.ref[".tar.gz"])
	s.output = ""
	samples, err := b.turns(ctx, s)
	if err != nil {
		return err
	}
	b.table.middle("nothing changed, not even the output", "s", sameBound, samples[0], seconds)
	return nil
}

// oneChanged measures builds of which one path is another each time, and nothing
// of it in the cache. It is less than 1 % of the closure.
func (b *bench) oneChanged(ctx context.Context, w *warmInput) error {
	random := rand.New(rand.NewPCG(3, 4))
	output := filepath.Join(b.dir, "ours.tar.gz")
	version := 0
	build := func(flags ...string) side {
		return side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
			version++
			spec, err := b.newVersion(ctx, w.input, version, random)
			if err != nil {
				return nil, err
			}
			args := append([]string{"build", spec, "-o", output, "--quiet"}, flags...)
			return b.terrineCommand(ctx, w.data, w.cache, args...), nil
		}}
	}
	from, to := w.ref[".tar.gz"], filepath.Join(b.dir, "theirs.tar.gz")
	s, err := b.turns(ctx, build(), copySyncSide(from, to), build("--no-sync"), copySide(from, to))
	if err != nil {
		return err
	}
	b.table.compare("one path changed: x.tar.gz, against cp and sync", "s", changedBound, s[0], s[1], seconds)
	b.table.compare("one path changed: x.tar.gz --no-sync, against cp", "s", changedBound, s[2], s[3], seconds)
	b.table.compare("one path changed: x.tar.gz --no-sync, processor time, against cp", "s", 0, s[2], s[3], cpuSeconds)
	return nil
}

// newVersion puts an app that never was into the store, and returns the spec of an
// image of it together with in.
func (b *bench) newVersion(ctx context.Context, in *input, version int, random *rand.Rand) (string, error) {
	tree := filepath.Join(b.dir, "version-"+strconv.Itoa(version), "app")
	if err := growTree(tree, changedFiles, random); err != nil {
		return "", err
	}
	paths, err := b.addPaths(ctx, in.data, "store", "add", tree)
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, "changed.json")
	spec := fmt.Sprintf(`{"name": "changed", "tag": "bench", "config": {"Cmd": [%q], "Env": ["TOP=%s"]}}`, paths[0], in.top)
	return file, os.WriteFile(file, []byte(spec), 0o600)
}
