// Bench measures terrine against the tools that it must not be slower than.
// Most rows are a ratio, terrine's figure over the other's, of two commands that
// ran in turns on this machine within one minute: a figure without the other
// side's says more of the machine than of the program.
//
//	go run ./tests/bench [-pairs N] [-dir DIR] [-rows REGEXP] [-closure PATH]
//
// Unless a row says otherwise, terrine's cache is cold: each of its runs gets an
// empty XDG_CACHE_HOME. The page cache is warm for all sides, since all inputs
// are read once before the first run, and before each run the disk has been
// synced, so that no run pays for what the one before it wrote.
//
// Two variables name tools that are no package of Debian, and add rows:
// BENCH_STREAM_LAYERED_IMAGE, nixpkgs' stream_layered_image.py, and
// BENCH_NIX2CONTAINER, nlewo's nix2container. One that fails, or that leaves a
// path out, ends the run. With -closure, the rows about a large closure are about
// that of a store path of this machine.
//
// The exit code is 1 when a bound is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"terrine/tests/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if asked, err := limit(ctx, os.Args[1:]); asked {
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %v\n", err)
			os.Exit(1)
		}
		return
	}
	missed, err := run(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	if missed > 0 {
		os.Exit(1)
	}
}

// bench is one call of the program.
type bench struct {
	dir     string // scratch, removed at the end
	terrine string // the binary
	pairs   int
	rows    *regexp.Regexp
	closure string // the store path whose closure is the large one; empty for Debian packages
	table   table
}

// run measures all rows and returns how many missed their bound.
func run(ctx context.Context) (missed int, err error) {
	pairs := flag.Int("pairs", 5, "how often each side of a row runs")
	parent := flag.String("dir", "/var/tmp", "where inputs are made and outputs written: a directory on a disk")
	rows := flag.String("rows", "", "only the rows whose group matches this regular expression: tar, small, gzip, warm, pigz, cold, size, probe, million, peers, durable")
	closure := flag.String("closure", "", "the store path whose closure the rows about a large one are about (default: Debian packages)")
	flag.Parse()
	b := &bench{pairs: *pairs, closure: *closure}
	if b.rows, err = regexp.Compile(*rows); err != nil {
		return 0, fmt.Errorf("parse -rows: %w", err)
	}
	if b.dir, err = os.MkdirTemp(*parent, "terrine-bench-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, removeAll(b.dir)) }()
	b.terrine = filepath.Join(b.dir, "terrine")
	if err := lab.Build(ctx, b.terrine); err != nil {
		return 0, err
	}
	groups := []struct {
		name string
		run  func(context.Context) error
	}{
		{"tar", b.largeTar},
		{"small", b.smallFiles},
		{"gzip", b.largeGzip},
		{"warm", b.warm},
		{"pigz", b.pigz},
		{"cold", b.cold},
		{"size", b.sizes},
		{"probe", b.probe},
		{"million", b.million},
		{"peers", b.peers},
		{"durable", b.durable},
	}
	for _, g := range groups {
		if !b.rows.MatchString(g.name) {
			continue
		}
		if err := g.run(ctx); err != nil {
			return 0, err
		}
	}
	fmt.Println(conditions(b.pairs))
	b.table.print(os.Stdout)
	return b.table.missed(), nil
}

// conditions says under what conditions the figures came about.
func conditions(pairs int) string {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	first, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("median of %d turns; page cache warm for all; %d processors, load average %s at the end",
		pairs, runtime.NumCPU(), first)
}

// removeAll is os.RemoveAll for trees with directories that are read-only.
func removeAll(dir string) error {
	if err := exec.Command("chmod", "-R", "u+w", dir).Run(); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return os.RemoveAll(dir)
}
