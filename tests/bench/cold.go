package main

import (
	"context"
	"path/filepath"
	"runtime"
)

// cold measures builds that know nothing against what no build can be faster
// than.
func (b *bench) cold(ctx context.Context) error {
	w, err := b.warmed(ctx)
	if err != nil {
		return err
	}
	plain := w.ref[".tar"]
	written := filepath.Join(b.dir, "written")
	read := limitSide("", limitRead, w.list, w.root)
	for _, ext := range []string{".tar", ".tar.gz"} {
		sides := []side{b.build(w.input, filepath.Join(b.dir, "ours"+ext)), read, limitSide(written, limitWrite, w.ref[ext], written)}
		if ext == ".tar.gz" {
			sides = append(sides, limitSide("", limitPgzip, plain))
		}
		s, err := b.turns(ctx, sides...)
		if err != nil {
			return err
		}
		what := "cold: x" + ext + ", "
		b.table.compare(what+"against the slowest of the limits", "s", coldBound, s[0], slowest(s[1:]), seconds)
		for i, limit := range []string{"reading and hashing alone", "writing alone", "pgzip alone"}[:len(s)-1] {
			b.table.compare(what+"against "+limit, "s", 0, s[0], s[i+1], seconds)
			b.table.compare(what+"processor time, against "+limit, "s", 0, s[0], s[i+1], cpuSeconds)
		}
		b.table.most(what+"peak memory", "MiB", peakBase+peakWorker*float64(runtime.NumCPU()), s[0], mebibytes)
	}
	return nil
}

// slowest returns of each turn the sample that took longest.
func slowest(sides [][]sample) []sample {
	out := make([]sample, len(sides[0]))
	for _, side := range sides {
		for i, s := range side {
			if s.wall > out[i].wall {
				out[i] = s
			}
		}
	}
	return out
}
