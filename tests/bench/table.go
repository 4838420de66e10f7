package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// row is one line of the table: a figure of both sides, or of ours alone.
type row struct {
	name         string
	unit         string
	ours, theirs float64 // medians; theirs is 0 where there is only ours
	ratio        float64 // median of the pairs' ratios; 0 likewise
	bound        float64 // on the ratio, or where there is none on ours; 0: no bound
}

// ok tells whether the row keeps its bound.
func (r row) ok() bool {
	figure := r.ratio
	if r.theirs == 0 {
		figure = r.ours
	}
	return r.bound == 0 || figure <= r.bound
}

type table []row

// compare adds a row with the medians of both sides, and the median of the
// ratios of the runs that were next to each other.
func (t *table) compare(name, unit string, bound float64, ours, theirs []sample, f func(sample) float64) {
	us, them := each(ours, f), each(theirs, f)
	ratios := make([]float64, len(us))
	for i := range us {
		ratios[i] = us[i] / them[i]
	}
	*t = append(*t, row{name: name, unit: unit, ours: median(us), theirs: median(them), ratio: median(ratios), bound: bound})
}

// most adds a row with the largest figure of ours.
func (t *table) most(name, unit string, bound float64, ours []sample, f func(sample) float64) {
	r := row{name: name, unit: unit, bound: bound}
	for _, v := range each(ours, f) {
		r.ours = max(r.ours, v)
	}
	*t = append(*t, r)
}

// middle adds a row with the median figure of ours.
func (t *table) middle(name, unit string, bound float64, ours []sample, f func(sample) float64) {
	*t = append(*t, row{name: name, unit: unit, ours: median(each(ours, f)), bound: bound})
}

func (t table) missed() int {
	n := 0
	for _, r := range t {
		if !r.ok() {
			n++
		}
	}
	return n
}

func (t table) print(w io.Writer) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "row\tours\ttheirs\tratio\tbound\t")
	for _, r := range t {
		theirs, ratio, bound, verdict := "-", "-", "-", ""
		if r.theirs != 0 {
			theirs, ratio = fmt.Sprintf("%.2f %s", r.theirs, r.unit), fmt.Sprintf("%.3f", r.ratio)
		}
		if r.bound != 0 {
			bound, verdict = strconv.FormatFloat(r.bound, 'g', -1, 64), "ok"
			if !r.ok() {
				verdict = "MISS"
			}
		}
		fmt.Fprintf(out, "%s\t%.2f %s\t%s\t%s\t%s\t%s\n", r.name, r.ours, r.unit, theirs, ratio, bound, verdict)
	}
	_ = out.Flush()
}
