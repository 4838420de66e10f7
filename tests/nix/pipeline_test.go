package nix

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/tests/engines"
)

// planned returns the names of the paths in each layer of a plan, a layer a string.
func planned(t *testing.T, file string) []string {
	t.Helper()
	var plan struct{ Layers []struct{ Paths []string } }
	if err := json.Unmarshal([]byte(read(t, file)), &plan); err != nil {
		t.Fatal(err)
	}
	var layers []string
	for _, l := range plan.Layers {
		var names []string
		for _, p := range l.Paths {
			_, name, _ := strings.Cut(filepath.Base(p), "-")
			names = append(names, name)
		}
		layers = append(layers, strings.Join(names, " "))
	}
	return layers
}

// A dockerTools user brings his pipeline along: a list with packages in it, a
// file, or a derivation that makes one.
func TestLayeringPipeline(t *testing.T) {
	endToEnd(t)
	e := function(t, `let
  image = more: (t.buildLayeredImage ({ name = "pipeline"; contents = [ hello other ]; } // more)).plan;
  split = [
    [ "split_paths" [ "${busybox}" { children_of = "${other}"; } ] ]
    [ "over" "rest" [ "pipe" [ [ "popularity_contest" ] [ "reverse" ] ] ] ]
  ];
in [
  (image { layeringPipeline = split; })
  (image { layeringPipeline = builtins.toFile "pipeline.json" (builtins.toJSON [ [ "popularity_contest" ] [ "limit_layers" 2 ] ]); maxLayers = 2; })
  (image { layeringPipeline = derivation { name = "pipeline.json"; system = builtins.currentSystem; builder = "${busybox}/bin/sh";
    args = [ "-euc" "echo '[[\"remove_paths\",\"*busybox*\"]]' > $out" ]; }; })
  (image { layeringPipeline = null; layering.groups = [ [ "other" "hello" ] ]; })
]`)
	outputs := engines.Nix(t, "nix-build", append([]string{"--quiet", "--no-out-link", e.file}, e.args...)...)
	for i, want := range []string{
		"busybox | other | hello | hello-script", "busybox | hello hello-script other", "hello hello-script other", "busybox | hello-script | hello other",
	} {
		if got := strings.Join(planned(t, outputs[i]), " | "); got != want {
			t.Errorf("image %d: layers %s, want %s", i, got, want)
		}
	}
}

// The layers of nix2container: packages with what they need in one, the rest in
// another. Packages that layers name do not come into the image by that.
func TestLayersOfPackages(t *testing.T) {
	endToEnd(t)
	e := function(t, `{
  needed = (t.streamLayeredImage { name = "x"; contents = [ hello fixtures.greet ]; layeringPipeline = [ [ "subcomponent_out" [ hello ] ] [ "flatten" ] ]; }).plan;
  named = (t.streamLayeredImage { name = "x"; contents = [ fixtures.greet ]; layering.groups = [ [ hello busybox ] ]; }).plan;
}`)
	plans := e.build(t, "needed", "named")
	for i, want := range [][]string{{"busybox hello hello-script", "greet greet-script"}, {"busybox", "greet", "greet-script"}} {
		got := planned(t, plans[i])
		for k, names := range got {
			got[k] = strings.Join(slices.Sorted(strings.FieldsSeq(names)), " ")
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("layers %q, want %q", got, want)
		}
	}
}
