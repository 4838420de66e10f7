package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/store/fault"
)

// layersOf plans a spec and returns the names of what is in each layer.
func (s *hostStore) layersOf(t *testing.T, text string) (string, error) {
	t.Helper()
	plan, err := NewPlan(t.Context(), s.spec(t, text), s.options())
	if err != nil {
		return "", err
	}
	var layers []string
	for i := range plan.Layers {
		var names []string
		for _, p := range plan.Layers[i].Paths() {
			names = append(names, p.Name())
		}
		layers = append(layers, strings.Join(names, " "))
	}
	return strings.Join(layers, ", "), nil
}

func TestLayeringOfASpec(t *testing.T) {
	s := newHostStore(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good, bad := write("good.json", `[["split_paths",["lib"]],["over","rest",["split_every",1]],["flatten"],["reverse"]]`), write("bad.json", `[["split"]]`)
	const image = `{"name":"x","contents":["@app","@tool"],"maxLayers":3,%s}`
	for _, test := range []struct{ fields, want, fails string }{
		{`"layering":{"groups":[["tool"]]}`, "tool, app lib", ""},
		{`"layering":{"groups":[["lib","tool"]],"pins":[{"glob":"*","layer":"rest"}]}`, "lib tool, app", ""},
		{`"layering":{"groups":[["lib"],["tool"],["app"]]}`, "", "3 pinned layers leave no room in a budget of 2"},
		{`"layering":{"pipeline":[["split_paths",["@lib"]]]}`, "lib, app tool", ""},
		{`"layering":{"pipeline":[["popularity_contest"]]}`, "lib, app, tool", ""}, // three layers, as the pipeline has it
		{`"layering":{"pipeline":"` + good + `"}`, "app, tool, lib", ""},
		{`"layering":{"pipeline":"` + bad + `"}`, "", `read pipeline ` + bad + `: pipeline[0][0]: unknown function "split"`},
		{`"layering":{"pipeline":"` + dir + `/none.json"}`, "", "none.json: no such file"},
		{`"layering":{"pipeline":[["split_every",9],["over","rest",["flatten"]]]}`, "", "pipeline[1]: over: takes the parts"},
		{`"layering":{"pipeline":[],"strategy":"size-first"}`, "", "a pipeline leaves nothing to the strategy size-first"},
		{`"layering":{"pipeline":[["remove_paths","lib"]]}`, "app tool", ""},
		{`"includeNixDB":true,"layering":{"pipeline":[["remove_paths","lib"]]}`, "", "the database would name what layering.pipeline removes: " + string(s.infos[0].Path)},
		{`"includeNixDB":true,"layering":{"pipeline":[["split_every",2]]}`, "", ""},
	} {
		got, err := s.layersOf(t, fmt.Sprintf(image, test.fields))
		switch {
		case test.fails == "" && err != nil, test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)):
			t.Errorf("%s: %v, want %q", test.fields, err, test.fails)
		case test.want != "" && !sameLayers(got, test.want, strings.Contains(test.fields, "pipeline")):
			t.Errorf("%s: %s, want %s", test.fields, got, test.want)
		case err != nil && !strings.Contains(test.fails, "no such file") && fault.CodeOf(err) != fault.Refused:
			t.Errorf("%s: class %d", test.fields, fault.CodeOf(err))
		}
	}
}

// sameLayers compares layers, in their order if it is given.
func sameLayers(got, want string, ordered bool) bool {
	if ordered {
		return got == want
	}
	if len(got) != len(want) {
		return false
	}
	for _, layer := range strings.Split(want, ", ") {
		if !strings.Contains(", "+got+",", ", "+layer+",") {
			return false
		}
	}
	return true
}

// An image of 124 layers and the root layer is what there can be; the 125th is
// refused, with what to do.
func TestPipelineOfTooManyLayers(t *testing.T) {
	s := newHostStore(t)
	var names []string
	for i := range 126 {
		p := s.add(t, string("abcdfghijklmnpqrsvwxyz"[i%22]), fmt.Sprintf("p%d", i), map[string]string{"x": fmt.Sprint(i)})
		names = append(names, `"`+string(p)+`"`)
	}
	text := `{"name":"x","contents":[` + strings.Join(names, ",") + `],"layering":{"pipeline":[["split_every",1]%s]}}`
	if _, err := s.layersOf(t, fmt.Sprintf(text, "")); err == nil || !strings.Contains(err.Error(), `makes 126 layers of at most 124: end it with ["flatten"], ["limit_layers", N]`) {
		t.Errorf("126 layers: %v", err)
	}
	plan, err := NewPlan(context.Background(), s.spec(t, fmt.Sprintf(text, `,["limit_layers",124]`)), s.options())
	if err != nil || len(plan.Layers) != 124 {
		t.Errorf("124 layers: %v", err)
	}
}
