package builder

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
)

// TestNearestFirst orders a closure by distance, and then by name: not by digests,
// which change with every update.
func TestNearestFirst(t *testing.T) {
	p := func(digest byte, name string) store.Path {
		b := make([]byte, 32)
		for i := range b {
			b[i] = digest
		}
		return store.Path("/nix/store/" + string(b) + "-" + name)
	}
	app, lib, extra, base, far := p('9', "app"), p('5', "lib"), p('7', "extra"), p('1', "base"), p('0', "far")
	r := newResolver(Sources{})
	for path, refs := range map[store.Path][]store.Path{
		app: {app, lib, extra}, lib: {base, lib}, extra: {base, app}, base: {far, lib}, far: nil,
	} {
		r.found[path] = store.Object{Info: store.Info{Path: path, References: refs}}
	}
	for _, c := range []struct{ contents, want []store.Path }{
		{[]store.Path{app}, []store.Path{extra, lib, base, far}},
		{[]store.Path{lib, app}, []store.Path{base, extra, far}},
		{[]store.Path{far}, nil},
	} {
		var contents []store.Object
		for _, path := range c.contents {
			contents = append(contents, r.found[path])
		}
		var got []store.Path
		for _, object := range r.nearestFirst(contents) {
			got = append(got, object.Path)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.contents, diff)
		}
	}
	for _, join := range []string{JoinContents, JoinClosure} {
		s := &Spec{Join: join, Contents: []Content{{StorePath: app}}}
		o, err := s.rootOptions(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if (len(o.Closure) > 0) != (join == JoinClosure) {
			t.Errorf("join %s: closure of %d objects", join, len(o.Closure))
		}
	}
}
