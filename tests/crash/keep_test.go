//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestRootsInOneStep (F27): what --root is to keep no collection removes, also
// one that runs while it is added.
func TestRootsInOneStep(t *testing.T) {
	l := lab(t)
	dir := newRun(t, l)
	ctx, stop := context.WithCancel(t.Context())
	var collectors sync.WaitGroup
	collected := 0
	collectors.Go(func() {
		for ctx.Err() == nil {
			cmd := l.Command(ctx, dir, "store", "gc")
			out, err := cmd.CombinedOutput()
			if err != nil && ctx.Err() == nil {
				t.Errorf("gc: %v: %s", err, out)
				return
			}
			collected += strings.Count(string(out), "-loose-")
		}
	})
	var adders sync.WaitGroup
	for i := range 2 {
		adders.Go(func() {
			for n := range 25 {
				name := fmt.Sprintf("%d-%d", i, n)
				if err := l.keepOne(ctx, dir, name); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	adders.Wait()
	stop()
	collectors.Wait()
	if collected == 0 {
		t.Error("nothing was collected meanwhile")
	}
	roots := l.must(t, dir, 0, "store", "roots", "ls")
	l.must(t, dir, 0, "store", "gc")
	valid := pathsIn(l.kept.Dir(), []byte(l.must(t, dir, 0, "store", "ls")))
	for _, line := range strings.Split(strings.TrimSpace(roots), "\n") {
		fields := strings.Fields(line)
		if err := want(valid, pathsIn(l.kept.Dir(), []byte(fields[len(fields)-1]+"\n"))...); err != nil {
			t.Errorf("root %s: %v", fields[0], err)
		}
	}
	if n := strings.Count(roots, "-kept-"); n != 100 {
		t.Errorf("%d roots, want 100", n)
	}
	l.must(t, dir, 0, "store", "verify")
}

// keepOne adds a path to be kept, with a root and with a symlink, and one that
// is not, which shows that there are collections.
func (l *Lab) keepOne(ctx context.Context, dir, name string) error {
	source := filepath.Join(dir, "src", name)
	if err := writeTree(source, map[string]string{"f": name}); err != nil {
		return err
	}
	var errs []error
	for _, args := range [][]string{
		{"--name", "loose-" + name},
		{"--name", "first-kept-" + name, "--root", "root-" + name},
		{"--name", "second-kept-" + name, "--root", filepath.Join(dir, "out", name)},
	} {
		if err := os.WriteFile(filepath.Join(source, "f"), []byte(args[1]), 0o644); err != nil {
			return err
		}
		out, err := l.Command(ctx, dir, append([]string{"store", "add", source}, args...)...).CombinedOutput()
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w: %s", args, err, out))
		}
	}
	return errors.Join(errs...)
}
