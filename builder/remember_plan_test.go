package builder

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/layering"
	"terrine/store"
)

// manyObjects are objects of a store that is not there.
func manyInfos(t *testing.T, n int) []*store.Info {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	infos := make([]*store.Info, n)
	for i := range infos {
		sum := digest.FromString(fmt.Sprint(i))
		p, err := store.DefaultDir.Join(store.EncodeBase32([]byte(sum.Encoded()[:20])) + fmt.Sprintf("-p%d-1.%d", i%100, i))
		if err != nil {
			t.Fatal(err)
		}
		infos[i] = &store.Info{Path: p, NARHash: sum, NARSize: 1 + r.Int64N(1<<22)}
		for range min(i, r.IntN(4)) {
			infos[i].References = append(infos[i].References, infos[r.IntN(i)].Path)
		}
		slices.Sort(infos[i].References)
		infos[i].References = slices.Compact(infos[i].References)
	}
	slices.SortFunc(infos, func(a, b *store.Info) int { return cmpPaths(a.Path, b.Path) })
	return infos
}

func cmpPaths(a, b store.Path) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestPlansAreRemembered(t *testing.T) {
	m, told := openMemo(t, t.TempDir())
	c := closureOf(manyInfos(t, manyPaths)...)
	o := layering.Options{MaxLayers: 12, Pins: []layering.Pin{{Glob: "*-p7-*", Layer: "seven"}}}
	groups, err := divide(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	want := numbered(c, groups)
	for _, what := range []string{"fresh", "remembered"} {
		got, err := m.divide(t.Context(), c, o)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: another plan (%v):\n%s", what, err, diff)
		}
	}
	key, err := divisionKey(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if m.memo.Division(key, c.Len()) == nil || len(*told) > 0 {
		t.Errorf("nothing is kept: %q", *told)
	}
}

// TestDivisionKey changes all that a plan depends on, each by itself.
func TestDivisionKey(t *testing.T) {
	infos := manyInfos(t, 3)
	infos[0].References, infos[1].References, infos[2].References = nil, nil, []store.Path{infos[0].Path}
	seen := map[digest.Digest]string{}
	check := func(what string, infos []*store.Info, o layering.Options) {
		t.Helper()
		key, err := divisionKey(closureOf(infos...), o)
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key", what, was)
		}
		seen[key] = what
	}
	check("nothing", infos, layering.Options{})
	for i := range reflect.TypeFor[layering.Options]().NumField() {
		var o layering.Options
		field := reflect.ValueOf(&o).Elem().Field(i)
		name := reflect.TypeFor[layering.Options]().Field(i).Name
		if name == "Pipeline" {
			continue // nothing is remembered of those
		}
		setAnything(t, field)
		check(name, infos, o)
	}
	for what, change := range map[string]func(*store.Info){
		"path":         func(o *store.Info) { o.Path += "x" },
		"size":         func(o *store.Info) { o.NARSize++ },
		"references":   func(o *store.Info) { o.References = []store.Path{infos[1].Path} },
		"no reference": func(o *store.Info) { o.References = nil },
	} {
		changed := *infos[2]
		change(&changed)
		check(what, []*store.Info{infos[0], infos[1], &changed}, layering.Options{})
	}
	check("fewer", infos[:2], layering.Options{})
}

// setAnything gives v a value that is not its zero, down to the first leaf.
func setAnything(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		setAnything(t, v.Index(0))
	case reflect.Struct:
		setAnything(t, v.Field(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setAnything(t, v.Elem())
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}
