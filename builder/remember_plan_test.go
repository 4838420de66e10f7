package builder

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/layering"
	"terrine/store"
)

// manyObjects are objects of a store that is not there.
func manyObjects(t *testing.T, n int) []store.Object {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	objects := make([]store.Object, n)
	for i := range objects {
		sum := digest.FromString(fmt.Sprint(i))
		p, err := store.DefaultDir.Join(store.EncodeBase32([]byte(sum.Encoded()[:20])) + fmt.Sprintf("-p%d-1.%d", i%100, i))
		if err != nil {
			t.Fatal(err)
		}
		objects[i].Info = store.Info{Path: p, NARHash: sum, NARSize: 1 + r.Int64N(1<<22)}
		for range min(i, r.IntN(4)) {
			objects[i].References = append(objects[i].References, objects[r.IntN(i)].Path)
		}
		slices.Sort(objects[i].References)
		objects[i].References = slices.Compact(objects[i].References)
	}
	slices.SortFunc(objects, func(a, b store.Object) int { return cmpPaths(a.Path, b.Path) })
	return objects
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
	objects, policy := manyObjects(t, manyPaths), layer.Policy{Owner: defaults().owner(time.Now)}
	o := layering.Options{MaxLayers: 12, Pins: []layering.Pin{{Glob: "*-p7-*", Layer: "seven"}}}
	want, err := divide(t.Context(), objects, policy, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"fresh", "remembered"} {
		got, err := m.divide(t.Context(), objects, policy, o)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: another plan (%v):\n%s", what, err, diff)
		}
	}
	key, err := divisionKey(objects, o)
	if err != nil {
		t.Fatal(err)
	}
	if m.memo.Division(key, len(objects)) == nil || len(*told) > 0 {
		t.Errorf("nothing is kept: %q", *told)
	}
}

// TestDivisionKey changes all that a plan depends on, each by itself.
func TestDivisionKey(t *testing.T) {
	objects := manyObjects(t, 3)
	objects[2].References = []store.Path{objects[0].Path}
	seen := map[digest.Digest]string{}
	check := func(what string, objects []store.Object, o layering.Options) {
		t.Helper()
		key, err := divisionKey(objects, o)
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key", what, was)
		}
		seen[key] = what
	}
	check("nothing", objects, layering.Options{})
	for i := range reflect.TypeFor[layering.Options]().NumField() {
		var o layering.Options
		field := reflect.ValueOf(&o).Elem().Field(i)
		name := reflect.TypeFor[layering.Options]().Field(i).Name
		if name == "Pipeline" {
			continue // nothing is remembered of those
		}
		setAnything(t, field)
		check(name, objects, o)
	}
	for what, change := range map[string]func(*store.Object){
		"path":         func(o *store.Object) { o.Path += "x" },
		"size":         func(o *store.Object) { o.NARSize++ },
		"references":   func(o *store.Object) { o.References = []store.Path{objects[1].Path} },
		"no reference": func(o *store.Object) { o.References = nil },
	} {
		changed := slices.Clone(objects)
		change(&changed[2])
		check(what, changed, layering.Options{})
	}
	check("fewer", objects[:2], layering.Options{})
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
