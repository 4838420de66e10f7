// Table prints what hosts fetch over the histories in testdata, by strategy and
// number of layers: pull, the bytes of layers that the image before did not have,
// and chain, those of all layers from the first that differs, as multiples of the
// bytes of the paths that changed. 1 is the least that whole paths allow.
//
//	go run ./tests/histories/table [-from DATE] [-to DATE] [HISTORY.json…]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"
	"time"

	"terrine/layering"
	"terrine/tests/histories"
)

// budgets are the numbers of layers of the table.
var budgets = [...]int{10, 20, 40, 60, 100}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer) error {
	first := flag.String("from", "2015-01-01", "date of the first image")
	last := flag.String("to", "2023-06-01", "date of the last image")
	flag.Parse()
	from, err := time.Parse(time.DateOnly, *first)
	if err != nil {
		return err
	}
	to, err := time.Parse(time.DateOnly, *last)
	if err != nil {
		return err
	}
	files := flag.Args()
	if len(files) == 0 {
		if files, err = filepath.Glob(filepath.Join("tests", "histories", "testdata", "*.json")); err != nil {
			return err
		}
	}
	for _, file := range files {
		h, err := histories.Load(file)
		if err != nil {
			return err
		}
		for _, series := range []struct {
			name  string
			dates []time.Time
		}{{"monthly", histories.Monthly(from, to)}, {"weekly", histories.Weekly(from, to)}} {
			fmt.Fprintf(w, "%s, %s from %s to %s: pull, chain\n", h.Name, series.name, *first, *last)
			if err := table(ctx, w, h, series.dates); err != nil {
				return err
			}
		}
	}
	return nil
}

func table(ctx context.Context, w io.Writer, h *histories.History, dates []time.Time) error {
	images, err := h.At(dates)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprint(t, "layers")
	for _, strategy := range layering.Strategies() {
		fmt.Fprintf(t, "\t%s", strategy)
	}
	fmt.Fprintln(t)
	for _, budget := range budgets {
		fmt.Fprint(t, budget)
		for _, strategy := range layering.Strategies() {
			cost, err := histories.Replay(ctx, images, layering.Options{Strategy: strategy, MaxLayers: budget})
			if err != nil {
				return err
			}
			fmt.Fprintf(t, "\t%.3f, %.3f", cost.Pull, cost.Chain)
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintln(t)
	return t.Flush()
}
