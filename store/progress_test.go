package store_test

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"terrine/store"
)

// told notes what a Progress is told: for each stage its total, and what was added.
type told struct {
	stages []string
	total  int64
	done   int64
}

func (p *told) Stage(name string, total int64) {
	p.end()
	p.stages = append(p.stages, name)
	p.total, p.done = total, 0
}

func (p *told) Add(n int64) { p.done += n }

// end says of the last stage how much of it was done.
func (p *told) end() {
	if last := len(p.stages) - 1; last >= 0 {
		p.stages[last] += fmt.Sprintf(" %d/%d", p.done, p.total)
	}
}

// TestProgress: what goes through the store tells of every object, also of those that
// are damaged.
func TestProgress(t *testing.T) {
	p := &told{}
	s := openStore(t, t.TempDir(), store.Options{Progress: p})
	chain(t, s, 5)
	bad := add(t, s, tree(t, map[string]string{"f": "whole"}), store.AddOptions{Name: "bad"})
	leaf := add(t, s, tree(t, map[string]string{"f": "leaf"}), store.AddOptions{Name: "leaf"})
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	for _, info := range list {
		all += info.NARSize
	}
	// want calls do and compares what was told meanwhile.
	want := func(do func() error, want ...string) {
		t.Helper()
		*p = told{}
		err := do()
		if p.end(); err != nil || fmt.Sprint(p.stages) != fmt.Sprint(want) {
			t.Errorf("told %q, %v; want %q", p.stages, err, want)
		}
	}
	of := func(stage string, bytes int64) string { return fmt.Sprintf("%s %d/%[2]d", stage, bytes) }
	want(func() error { _, err := s.Optimise(t.Context()); return err }, of("optimise", all))
	want(func() error { _, err := s.Rebuild(t.Context()); return err }, of("rebuild", all))
	want(func() error { return s.Export(t.Context(), io.Discard, bad.Path, leaf.Path) }, of("export", bad.NARSize+leaf.NARSize))
	if err := rewrite(filepath.Join(s.RealDir(), bad.Path.Base(), "f"), "other"); err != nil {
		t.Fatal(err)
	}
	want(func() error {
		if d := damage(t, s); len(d) != 1 {
			return fmt.Errorf("damage: %q", d)
		}
		return nil
	}, of("verify", all))
	want(func() error { _, err := s.Rebuild(t.Context()); return err }, of("rebuild", all))
	if err := s.Close(); err != nil { // what it holds stays
		t.Fatal(err)
	}
	want(func() error { _, err := s.GC(t.Context(), store.GCOptions{DryRun: true}); return err })
	want(func() error { _, err := s.Delete(t.Context(), leaf.Path); return err }, of("collect", 0), of("remove", leaf.NARSize))
	pool := 5 + 4*49 + 2 + 5 + 4 // files of the chain, those that are paths; "#!", which all share; that of bad; that of leaf
	want(func() error { _, err := s.GC(t.Context(), store.GCOptions{}); return err }, of("collect", 0), of("remove", all-bad.NARSize-leaf.NARSize), fmt.Sprintf("prune %d/0", pool))
}
