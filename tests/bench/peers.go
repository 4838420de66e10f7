package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"terrine/tests/engines"
)

// The variables that name the tools for further rows.
const (
	streamVar        = "BENCH_STREAM_LAYERED_IMAGE"
	nix2containerVar = "BENCH_NIX2CONTAINER"
)

// peers measures against the other builders of images from Nix closures, where
// their programs are named. These rows have no bounds.
func (b *bench) peers(ctx context.Context) error {
	script, binary := os.Getenv(streamVar), os.Getenv(nix2containerVar)
	if script == "" && binary == "" {
		return nil
	}
	in, err := b.large(ctx)
	if err != nil {
		return err
	}
	if script != "" {
		if err := b.streamLayeredImage(ctx, in, script); err != nil {
			return err
		}
	}
	if binary != "" {
		return b.nix2container(ctx, in, binary)
	}
	return nil
}

// streamLayeredImage compares with nixpkgs' script, given its configuration as
// dockerTools would write it: 100 layers, an empty last one.
func (b *bench) streamLayeredImage(ctx context.Context, in *input, script string) error {
	custom := filepath.Join(b.dir, "customisation")
	empty := make([]byte, 10240)
	sum := sha256.Sum256(empty)
	err := errors.Join(os.MkdirAll(custom, 0o755),
		os.WriteFile(filepath.Join(custom, "layer.tar"), empty, 0o600),
		os.WriteFile(filepath.Join(custom, "checksum"), []byte(hex.EncodeToString(sum[:])), 0o600))
	if err != nil {
		return err
	}
	var layers [][]string
	for i, p := range in.paths {
		if i < 99 {
			layers = append(layers, []string{p})
		} else {
			layers[98] = append(layers[98], p)
		}
	}
	epoch := "1970-01-01T00:00:01+00:00"
	conf, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{}, "store_dir": "/nix/store",
		"from_image": nil, "store_layers": layers, "customisation_layer": custom, "repo_tag": "large:bench",
		"created": epoch, "mtime": epoch, "uid": "0", "gid": "0", "uname": "root", "gname": "root",
	})
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "stream.json")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		return err
	}
	output := filepath.Join(b.dir, "stream.tar")
	them := side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
		return shell(ctx, `python3 "$1" "$2" >"$3"; sync "$3"`, script, file, output), nil
	}}
	if err := b.hasAll(ctx, in, them, `tar -xOf "$1" --wildcards '*.json'`); err != nil {
		return err
	}
	ours, theirs, err := b.versus(ctx, b.build(in, filepath.Join(b.dir, "ours.tar")), them)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("closure of %d paths: x.tar, against nixpkgs' stream_layered_image", len(in.paths))
	b.table.compare(what+" and sync", "s", 0, ours, theirs, seconds)
	b.table.compare(what+", processor time", "s", 0, ours, theirs, cpuSeconds)
	b.table.compare(what+", peak memory", "MiB", 0, ours, theirs, mebibytes)
	b.table.compare(what+", size", "MB", 0, ours, theirs, megabytes)
	return nil
}

// hasAll runs a side once and fails if what it has made does not name all paths:
// one that leaves some out is fast. print writes to stdout what has the names in
// the output, $1.
func (b *bench) hasAll(ctx context.Context, in *input, s side, print string) error {
	cmd, err := s.command(ctx)
	if err != nil {
		return err
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", strings.Join(cmd.Args, " "), err, said)
	}
	names, err := shell(ctx, print, s.output).Output()
	if err != nil {
		return fmt.Errorf("read what %s has made: %w", strings.Join(cmd.Args, " "), err)
	}
	for _, p := range in.paths {
		if !strings.Contains(string(names), p) {
			return fmt.Errorf("run %s: %s is not in what it has made", strings.Join(cmd.Args, " "), p)
		}
	}
	return os.Remove(s.output)
}

// nix2container compares with the digests of the layers alone, which is all
// that nix2container makes: it writes no image.
func (b *bench) nix2container(ctx context.Context, in *input, binary string) error {
	type node struct {
		Path       string   `json:"path"`
		References []string `json:"references"`
	}
	var nodes []node
	for _, p := range in.paths {
		query := exec.CommandContext(ctx, "nix-store", "--query", "--references", p)
		query.Env = append(os.Environ(), engines.NixEnv()...)
		said, err := query.Output()
		if err != nil {
			return fmt.Errorf("ask nix-store for the references of %s: %w", p, err)
		}
		nodes = append(nodes, node{Path: p, References: strings.Fields(string(said))})
	}
	graph, err := json.Marshal(nodes)
	if err != nil {
		return err
	}
	file, output := filepath.Join(b.dir, "graph.json"), filepath.Join(b.dir, "layers.json")
	if err := os.WriteFile(file, graph, 0o600); err != nil {
		return err
	}
	them := side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
		return exec.CommandContext(ctx, binary, "layers-from-reproducible-storepaths", output, file, "--max-layers", "100"), nil
	}}
	if err := b.hasAll(ctx, in, them, `cat "$1"`); err != nil {
		return err
	}
	ours, theirs, err := b.versus(ctx, b.build(in, filepath.Join(b.dir, "ours.tar")), them)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("closure of %d paths: x.tar, against nix2container's digests, without an image", len(in.paths))
	b.table.compare(what, "s", 0, ours, theirs, seconds)
	b.table.compare(what+", processor time", "s", 0, ours, theirs, cpuSeconds)
	b.table.compare(what+", peak memory", "MiB", 0, ours, theirs, mebibytes)
	return nil
}
