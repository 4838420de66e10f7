package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"terrine/store"
	"terrine/store/nar"
)

// writeFiles makes n files with different texts.
func writeFiles(t *testing.T, n int) []string {
	t.Helper()
	dir := t.TempDir()
	files := make([]string, n)
	for i := range files {
		files[i] = filepath.Join(dir, fmt.Sprintf("f%03d", i))
		if err := os.WriteFile(files[i], []byte(files[i]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func wantClean(t *testing.T, s *store.Store, n int) {
	t.Helper()
	if list, err := s.List(t.Context()); err != nil || len(list) != n {
		t.Errorf("List = %d paths, %v; want %d", len(list), err, n)
	}
	for p, err := range s.Verify(t.Context()) {
		t.Errorf("verify %s: %v", p, err)
	}
	if entries, err := os.ReadDir(s.RealDir()); err != nil || len(entries) != n {
		t.Errorf("%d objects, %v; want %d", len(entries), err, n)
	}
}

// TestTogether adds more than fits into a batch, everything twice, and wants what
// Add returns.
func TestTogether(t *testing.T) {
	const n = 75
	alone, s := openStore(t, t.TempDir(), store.Options{}), openStore(t, t.TempDir(), store.Options{})
	files := writeFiles(t, n)
	var got []*store.Info
	err := s.Together(t.Context(), func(a *store.Adder) error {
		for _, file := range append(files, files...) {
			info, err := a.Add(t.Context(), file, store.AddOptions{})
			if err != nil {
				return err
			}
			got = append(got, info)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		want := add(t, alone, file, store.AddOptions{})
		if got[i].Path != want.Path || got[n+i].Path != want.Path || got[i].NARHash != want.NARHash {
			t.Errorf("%s: %s and %s; Add makes it %s", file, got[i].Path, got[n+i].Path, want.Path)
		}
	}
	wantClean(t, s, n)
}

// TestTogetherRefers: what is added may refer to what was added before it, found
// or given.
func TestTogetherRefers(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	file := filepath.Join(t.TempDir(), "f")
	var last store.Path
	err := s.Together(t.Context(), func(a *store.Adder) error {
		for i := range 50 {
			if err := os.WriteFile(file, []byte(fmt.Sprint(i, " ", last)), 0o644); err != nil {
				return err
			}
			o := store.AddOptions{}
			if i%2 == 1 {
				o.References = []store.Path{last}
			}
			info, err := a.Add(t.Context(), file, o)
			if err != nil {
				return err
			}
			if i > 0 && (len(info.References) != 1 || info.References[0] != last) {
				t.Errorf("%s refers to %v; want %s", info.Path, info.References, last)
			}
			last = info.Path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if closure, err := s.Closure(t.Context(), last); err != nil || len(closure) != 50 {
		t.Errorf("Closure = %d paths, %v; want 50", len(closure), err)
	}
	wantClean(t, s, 50)
}

// TestTogetherFails: what came before an error is valid; when the context has
// ended, nothing is.
func TestTogetherFails(t *testing.T) {
	files := writeFiles(t, 5)
	for _, cancelled := range []bool{false, true} {
		s := openStore(t, t.TempDir(), store.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		want := errors.New("mine")
		err := s.Together(ctx, func(a *store.Adder) error {
			for _, file := range files {
				if _, err := a.Add(ctx, file, store.AddOptions{}); err != nil {
					return err
				}
			}
			if cancelled {
				cancel()
			}
			return want
		})
		cancel()
		if !errors.Is(err, want) {
			t.Errorf("Together = %v; want %v", err, want)
		}
		if cancelled {
			wantClean(t, s, 0)
		} else {
			wantClean(t, s, len(files))
		}
	}
}

// TestTogetherTellsOfFailures: who goes on after an error learns of it in the end.
func TestTogetherTellsOfFailures(t *testing.T) {
	stop := errors.New("stop")
	s := openStore(t, t.TempDir(), store.Options{Fail: func(point string) error {
		if point == "batch.sync" {
			return stop
		}
		return nil
	}})
	told := false
	err := s.Together(t.Context(), func(a *store.Adder) error {
		for { // until there are enough to make them valid
			for _, file := range writeFiles(t, 50) {
				if _, err := a.Add(t.Context(), file, store.AddOptions{}); err != nil {
					told = true
					return nil
				}
			}
		}
	})
	if !told || !errors.Is(err, stop) {
		t.Errorf("Together = %v (Add failed: %v); want %v", err, told, stop)
	}
	if list, err := s.List(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("List = %d paths, %v; want none", len(list), err)
	}
}

// TestTogetherParallel has goroutines import and add by one Adder, some the same.
func TestTogetherParallel(t *testing.T) {
	from, s := openStore(t, t.TempDir(), store.Options{}), openStore(t, t.TempDir(), store.Options{})
	files := writeFiles(t, 60)
	infos := make([]*store.Info, len(files))
	for i, file := range files {
		infos[i] = add(t, from, file, store.AddOptions{})
	}
	err := s.Together(t.Context(), func(a *store.Adder) error {
		var wg sync.WaitGroup
		for k := range 6 {
			wg.Go(func() {
				for i, file := range files {
					if (i+k)%3 == 0 {
						continue
					}
					var err error
					if (i+k)%3 == 1 {
						_, err = a.Add(t.Context(), file, store.AddOptions{})
					} else {
						var dump bytes.Buffer
						err = errors.Join(nar.Dump(t.Context(), &dump, file), a.Import(t.Context(), infos[i], &dump))
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantClean(t, s, len(files))
}

// TestTogetherCrossed: several who add the same in opposite orders do not wait for
// each other for ever.
func TestTogetherCrossed(t *testing.T) {
	root := t.TempDir()
	files := writeFiles(t, 40)
	var wg sync.WaitGroup
	for k := range 4 {
		s := openStore(t, root, store.Options{})
		wg.Go(func() {
			err := s.Together(t.Context(), func(a *store.Adder) error {
				for i := range files {
					if k%2 == 1 {
						i = len(files) - 1 - i
					}
					if _, err := a.Add(t.Context(), files[i], store.AddOptions{}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantClean(t, openStore(t, root, store.Options{}), len(files))
}

// addTogether adds a few, in any order, so that others have the locks of some.
func (w *stressor) addTogether(ctx context.Context, s *store.Store) error {
	return s.Together(ctx, func(a *store.Adder) error {
		for range 2 + w.r.IntN(6) {
			i := strconv.Itoa(w.r.IntN(stressSources))
			if _, err := a.Add(ctx, filepath.Join(w.input, "src", i), store.AddOptions{Name: "s" + i}); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestReferencesWithinABatch: each object has the name of one that was added long
// before it, which is valid by then, of the last, which is not, and of one that
// was valid before the first.
func TestReferencesWithinABatch(t *testing.T) {
	const n = 300 // more than become valid at once
	s := openStore(t, t.TempDir(), store.Options{})
	old, err := s.Add(t.Context(), writeFiles(t, 1)[0], store.AddOptions{Name: "old"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "text")
	var added []store.Path
	err = s.Together(t.Context(), func(a *store.Adder) error {
		for i := range n {
			want := []store.Path{old.Path}
			if i > 0 {
				want = append(want, added[i-1])
			}
			if i > 250 {
				want = append(want, added[i-250])
			}
			if err := os.WriteFile(file, fmt.Append(nil, i, want), 0o644); err != nil {
				return err
			}
			info, err := a.Add(t.Context(), file, store.AddOptions{Name: strconv.Itoa(i)})
			if err != nil {
				return err
			}
			slices.Sort(want)
			if !slices.Equal(info.References, want) {
				return fmt.Errorf("object %d refers to %v, want %v", i, info.References, want)
			}
			added = append(added, info.Path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantClean(t, s, n+1)
}

// TestTogetherStopped: what is stopped before it is valid is an error, also if nobody who
// adds has noticed.
func TestTogetherStopped(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{NoSync: true})
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	var added *store.Info
	err := s.Together(ctx, func(a *store.Adder) (err error) {
		added, err = a.Add(ctx, tree(t, map[string]string{"f": "x"}), store.AddOptions{Name: "p"})
		stop(stopped)
		return err
	})
	if !errors.Is(err, stopped) {
		t.Errorf("Together = %v; want %v", err, stopped)
	}
	if _, err := s.Info(t.Context(), added.Path); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Info = %v; want ErrNotFound", err)
	}
}
