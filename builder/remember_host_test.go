package builder

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/builder/memo"
	"terrine/store"
)

func TestHostIsAskedOncePerState(t *testing.T) {
	dir := store.Dir(filepath.Join(t.TempDir(), "store"))
	path := func(digit, name string) store.Path {
		p, err := dir.Join(strings.Repeat(digit, 32) + "-" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(string(p), 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := path("0", "a"), path("1", "b")
	asked := 0
	ask := func(_ context.Context, roots []store.Path) ([]*store.Info, error) {
		asked++
		if slices.Contains(roots, b) {
			return nil, store.ErrNotFound
		}
		return []*store.Info{{Path: a, NARHash: digest.FromString("a"), NARSize: int64(asked), References: []store.Path{a}}}, nil
	}
	now := time.Now().Add(time.Hour) // the paths are old
	clock := func() time.Time { return now }
	kept, err := memo.Open(t.Context(), t.TempDir(), memo.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMemo(kept, nil)
	want := func(what, scope string, times int, size int64, roots ...store.Path) {
		t.Helper()
		infos, err := m.Host(scope, ask)(t.Context(), roots)
		if err != nil {
			t.Fatal(err)
		}
		expected := []*store.Info{{Path: a, NARHash: digest.FromString("a"), NARSize: size, References: []store.Path{a}}}
		if diff := cmp.Diff(expected, infos); asked != times || diff != "" {
			t.Errorf("%s: asked %d times, want %d:\n%s", what, asked, times, diff)
		}
	}
	want("nothing is known", "", 1, 1, a)
	want("all is as it was", "", 1, 1, a)
	want("another store", "daemon", 2, 2, a)
	if err := os.Rename(string(a), string(a)+".old"); err != nil {
		t.Fatal(err)
	}
	path("0", "a")
	want("another directory in its place", "", 3, 3, a)
	want("and that is as it was", "", 3, 3, a)
	if err := os.Remove(string(a)); err != nil {
		t.Fatal(err)
	}
	want("the path is gone", "", 4, 4, a)
	want("nothing was kept of it", "", 5, 5, a)
	if _, err := m.Host("", ask)(t.Context(), []store.Path{b}); err != store.ErrNotFound {
		t.Errorf("error %v, want that of the host", err)
	}

	path("0", "a")
	now = time.Now().Add(-time.Hour) // the path is newer than the question
	want("it may have been replaced meanwhile", "", 7, 7, a)
	want("so it is asked about again", "", 8, 8, a)
}

func TestClosureKey(t *testing.T) {
	a, b := store.Path("/nix/store/a"), store.Path("/nix/store/b")
	roots := []store.Path{b, a}
	if closureKey("x", roots) != closureKey("x", []store.Path{a, b}) || roots[0] != b {
		t.Error("the key depends on the order of roots, or changes it")
	}
	if closureKey("x", roots) == closureKey("y", roots) || closureKey("x", roots) == closureKey("x", roots[:1]) {
		t.Error("other stores or roots have the key")
	}
}

func TestHostWithoutMemo(t *testing.T) {
	var m *Memo
	infos, err := m.Host("", func(context.Context, []store.Path) ([]*store.Info, error) { return []*store.Info{{}}, nil })(t.Context(), nil)
	if len(infos) != 1 || err != nil {
		t.Errorf("%v, %v", infos, err)
	}
}
