// Table prints what hosts fetch over the histories in testdata, by strategy and
// number of layers: pull, the bytes of layers that the image before did not have,
// and chain, those of all layers from the first that differs, as multiples of the
// bytes of the paths that changed. 1 is the least that whole paths allow.
//
// update-cost stands there twice: without rates, and with rates learned from the
// images of 2010 to 2014, as often as those that are replayed.
//
//	go run ./tests/histories/table [-from DATE] [-to DATE] [HISTORY.json…]
//	go run ./tests/histories/table -targets
//
// -targets replays server.json at all budgets from 5 to 125 instead, and exits
// with 1 when a target is missed.
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
	targets := flag.Bool("targets", false, "check the targets, and print those that are missed")
	flag.Parse()
	if *targets {
		return checkTargets(ctx, w)
	}
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
			dates func(from, to time.Time) []time.Time
		}{{"monthly", histories.Monthly}, {"weekly", histories.Weekly}} {
			fmt.Fprintf(w, "%s, %s from %s to %s: pull, chain\n", h.Name, series.name, *first, *last)
			before, err := h.At(series.dates(histories.LearnFirst, histories.LearnLast))
			if err != nil {
				return err
			}
			rates, err := histories.LearnFrom(before)
			if err != nil {
				return err
			}
			images, err := h.At(series.dates(from, to))
			if err != nil {
				return err
			}
			if err := table(ctx, w, images, rates); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkTargets(ctx context.Context, w io.Writer) error {
	h, err := histories.Load(filepath.Join("tests", "histories", "testdata", "server.json"))
	if err != nil {
		return err
	}
	var all []int
	for b := histories.LeastBudget; b <= histories.MostBudget; b++ {
		all = append(all, b)
	}
	misses, err := h.Misses(ctx, all)
	if err != nil {
		return err
	}
	for _, miss := range misses {
		fmt.Fprintln(w, "missed:", miss)
	}
	if len(misses) > 0 {
		return fmt.Errorf("%d targets are missed", len(misses))
	}
	fmt.Fprintf(w, "server: all targets are met, at %d to %d layers\n", all[0], all[len(all)-1])
	return nil
}

// table prints a line for each budget and a column for each way to divide.
func table(ctx context.Context, w io.Writer, images []histories.Image, rates *layering.Rates) error {
	columns := []struct {
		name    string
		options layering.Options
	}{
		{"update-cost", layering.Options{Strategy: layering.UpdateCost}},
		{"with rates", layering.Options{Strategy: layering.UpdateCost, Rates: rates}},
		{"size-first", layering.Options{Strategy: layering.SizeFirst}},
		{"popularity", layering.Options{Strategy: layering.Popularity}},
	}
	var options []layering.Options
	for _, budget := range budgets {
		for _, c := range columns {
			c.options.MaxLayers = budget
			options = append(options, c.options)
		}
	}
	costs, err := histories.ReplayAll(ctx, images, options)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprint(t, "layers")
	for _, c := range columns {
		fmt.Fprintf(t, "\t%s", c.name)
	}
	fmt.Fprintln(t)
	for i, budget := range budgets {
		fmt.Fprint(t, budget)
		for _, cost := range costs[i*len(columns) : (i+1)*len(columns)] {
			fmt.Fprintf(t, "\t%.4f, %.3f", cost.Pull, cost.Chain)
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintln(t)
	return t.Flush()
}
