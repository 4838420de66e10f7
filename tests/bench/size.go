package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sizeBound is what splitting an archive into members may cost, against one stream
// of the same level.
const sizeBound = 1.005

// sizes measures what members cost in bytes: against one stream of pgzip, of the same
// level and by default, for a closure as there are, and for one of small paths,
// where it must cost more. The figures are the same in every run.
func (b *bench) sizes(ctx context.Context) error {
	in, err := b.large(ctx)
	if err != nil {
		return err
	}
	for _, level := range []string{"gzip", "gzip:1", "gzip:6"} {
		what := fmt.Sprintf("closure of %d paths: %s, members against one stream", len(in.paths), level)
		if err := b.members(ctx, sizeRow{what: what, bound: sizeBound, level: level, data: in.data, spec: in.spec}); err != nil {
			return err
		}
	}
	units, err := b.modules(in)
	if err != nil {
		return err
	}
	c, err := b.newCrowd("modules", len(units), func(path string, i int) error {
		return exec.CommandContext(ctx, "cp", "-r", "--no-preserve=ownership", units[i], path).Run()
	})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d paths of a module each: gzip:6, members against one stream", len(units))
	return b.members(ctx, sizeRow{what: what, level: "gzip:6", data: filepath.Join(b.dir, "data"), spec: c.spec, flags: []string{"--closure", c.graph}})
}

// sizeRow compares the sizes of an image's archives.
type sizeRow struct {
	what  string
	bound float64 // of many members against one; 0 for none
	level string  // of compression
	data  string  // XDG_DATA_HOME of the build
	spec  string
	flags []string
}

// members adds a row of an archive of many members and one of a single member.
func (b *bench) members(ctx context.Context, row sizeRow) error {
	output := filepath.Join(b.dir, "size.tar.gz")
	var samples [2][]sample
	for i, members := range []string{"many", "one"} {
		args := append([]string{"build", row.spec, "-o", output, "--quiet", "--no-cache", "--compression", row.level, "--gzip-members", members}, row.flags...)
		s, err := measure(ctx, side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
			return b.terrineCommand(ctx, row.data, b.dir, args...), nil
		}})
		if err != nil {
			return err
		}
		samples[i] = []sample{s}
	}
	b.table.compare(row.what, "MB", row.bound, samples[0], samples[1], megabytes)
	return nil
}

// modules returns the modules of Python's library, files and directories.
func (b *bench) modules(in *input) (units []string, err error) {
	for _, path := range in.paths {
		if !strings.Contains(path, "-libpython3") || !strings.Contains(path, "-stdlib") {
			continue
		}
		found, err := filepath.Glob(filepath.Join(path, "usr/lib/python3*/[a-z]*"))
		if err != nil {
			return nil, err
		}
		for _, unit := range found {
			if info, err := os.Lstat(unit); err == nil && (info.IsDir() || info.Mode().IsRegular()) {
				units = append(units, unit)
			}
		}
	}
	if len(units) == 0 {
		return nil, errors.New("find modules: the closure has no library of Python")
	}
	return units, nil
}
