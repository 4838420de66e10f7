package layering

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func mustPipeline(t testing.TB, text string) *Pipeline {
	t.Helper()
	p, err := ParsePipeline([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The graphs and pipelines were made at random, with sizes that differ, and the
// layers by nixpkgs' flatten_references_graph on Debian's python3-igraph 0.10 and
// python3-toolz: null where it raises a KeyError for a part that is not there.
//
//	python3 -m flatten_references_graph CASE.json
func TestPipelinesAsNixpkgs(t *testing.T) {
	var cases []struct {
		Graph    jsonGraph
		Pipeline json.RawMessage
		Layers   [][]string
	}
	readCases(t, "pipelines.json", &cases)
	refused := 0
	for i, c := range cases {
		got, err := Plan(context.Background(), mustGraph(t, c.Graph.nodes()), Options{Pipeline: mustPipeline(t, string(c.Pipeline)), MaxLayers: 125})
		if c.Layers == nil {
			refused++
			if perr, ok := errors.AsType[*PipelineError](err); !ok || !strings.Contains(perr.Error(), "there is no part") {
				t.Errorf("case %d, %s: %v, want an error for a part that is not there", i, c.Pipeline, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("case %d, %s: %v", i, c.Pipeline, err)
			continue
		}
		for _, layer := range c.Layers {
			slices.SortFunc(layer, func(a, b string) int { return keyOf(a).compare(keyOf(b)) })
		}
		var layers [][]string
		for _, g := range got {
			layers = append(layers, g.Paths)
		}
		if fmt.Sprint(layers) != fmt.Sprint(c.Layers) {
			t.Errorf("case %d, %s:\n got %v\nwant %v", i, c.Pipeline, layers, c.Layers)
		}
	}
	if len(cases) < 50 || refused == 0 || refused > 10 {
		t.Errorf("%d cases, %d of them refused, are not what the file should hold", len(cases), refused)
	}
}

// The examples of nixpkgs' documentation and unit tests.
func TestPipelineExamples(t *testing.T) {
	a2g := []string{"A 7 B G", "B 6 C E", "C 5 D E", "D 4 F", "E 3 F", "F 2", "G 1"}
	diamond := []string{"a-A 6 b-B c-C", "b-B 5 e-E f-F", "c-C 4 d-D e-E", "d-D 3", "e-E 2 f-F g-G", "f-F 1", "g-G 1"}
	for _, test := range []struct {
		name     string
		graph    []string
		pipeline string
		want     string // layers, and paths in them, bottom first
	}{
		{"popularity", a2g, `[["popularity_contest"]]`, "F, E, D, C, B, G, A"},
		{"popularity, limited", a2g, `[["popularity_contest"],["limit_layers",3]]`, "F, E, A B C D G"},
		{"popularity, backwards", a2g, `[["popularity_contest"],["reverse"],["limit_layers",2]]`, "A, B C D E F G"},
		{"nothing to limit", a2g, `[["popularity_contest"],["limit_layers",50]]`, "F, E, D, C, B, G, A"},
		{"by twos, smallest first", a2g, `[["split_every",2]]`, "F G, D E, B C, A"},
		{"split off", diamond, `[["split_paths",["c-C"]]]`, "c-C d-D, e-E f-F g-G, a-A b-B"},
		{"and the rest taken apart", diamond, `[["split_paths",["c-C"]],["over","rest",["split_every",1]]]`, "c-C d-D, e-E f-F g-G, b-B, a-A"},
		{"nothing to split off", diamond, `[["split_paths",["x-X"]]]`, "a-A b-B c-C d-D e-E f-F g-G"},
		{"the root split off", diamond, `[["split_paths",["a-A"]],["over","main",["split_every",4]]]`, "d-D e-E f-F g-G, a-A b-B c-C"},
		{"children", diamond, `[["split_paths",[{"children_of":"b-B"}]]]`, "e-E f-F g-G, a-A b-B c-C d-D"},
		{"children of several", diamond, `[["split_paths",[{"children_of":["b-B","c-C"]}]]]`, "d-D e-E f-F g-G, a-A b-B c-C"},
		{"what needs it", diamond, `[["subcomponent_in",["d-D"]]]`, "a-A c-C d-D, b-B e-E f-F g-G"},
		{"what it needs", diamond, `[["subcomponent_out",["e-E"]]]`, "e-E f-F g-G, a-A b-B c-C d-D"},
		{"removed", diamond, `[["remove_paths","e-E"]]`, "a-A b-B c-C d-D f-F g-G"},
		{"removed, several", diamond, `[["remove_paths",["e-E","x-X","a-A"]],["split_every",2]]`, "f-F g-G, c-C d-D, b-B"},
		{"a glob", diamond, `[["subcomponent_out",["[bc]-?"]]]`, "b-B c-C d-D e-E f-F g-G, a-A"},
		{"mapped", diamond, `[["split_paths",["c-C"]],["flatten"],["map",["split_every",1]]]`, "d-D, c-C, f-F, g-G, e-E, b-B, a-A"},
		{"a pipe", diamond, `[["split_paths",["c-C"]],["over","common",["pipe",[["split_every",1],["reverse"]]]]]`, "c-C d-D, e-E, g-G, f-F, a-A b-B"},
		{"nothing to do", diamond, `[]`, "a-A b-B c-C d-D e-E f-F g-G"},
		{"nothing left", diamond, `[["remove_paths",["*"]]]`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(namesOf(plan(t, graphOf(t, test.graph...), Options{Pipeline: mustPipeline(t, test.pipeline)})), ", ")
			if got != test.want {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}

// nixpkgs' own example, with the names that it uses as whole paths.
func TestPipelineOfWholePaths(t *testing.T) {
	g := mustGraph(t, []Node{
		{"a-A", 6, []string{"b-B", "c-C"}}, {"b-B", 5, []string{"e-E", "f-F"}}, {"c-C", 3, []string{"d-D", "e-E", "f-F"}},
		{"d-D", 2, nil}, {"e-E", 1, nil}, {"f-F", 1, nil}, {"g-G", 7, []string{"a-A"}},
	})
	var got [][]string
	for _, layer := range plan(t, g, Options{Pipeline: mustPipeline(t, `[["split_paths",["c-C"]],["over","rest",["split_every",1]]]`)}) {
		got = append(got, layer.Paths)
	}
	if want := "[[c-C d-D] [e-E f-F] [b-B] [a-A] [g-G]]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestPipelineErrors(t *testing.T) {
	g := graphOf(t, "a 1 b", "b 1 c", "c 1")
	for _, test := range []struct{ pipeline, want string }{
		{``, "pipeline: there is nothing"},
		{`[`, "pipeline: unexpected EOF"},
		{`[] x`, "pipeline: more follows after the end"},
		{`{}`, "pipeline: want an array of steps, not an object"},
		{`[[]]`, `pipeline[0]: want a step as in ["split_every", 5], not an empty array`},
		{`["flatten"]`, "pipeline[0]: want a step"},
		{`[["flatten"],[1]]`, "pipeline[1][0]: want the name of a function, not a number"},
		{`[["flatten"],["splitpaths"]]`, `pipeline[1][0]: unknown function "splitpaths": known are flatten, limit_layers,`},
		{`[["flatten",1]]`, "pipeline[0]: flatten takes 0 arguments, and has 1"},
		{`[["over","rest"]]`, "pipeline[0]: over takes 2 arguments, and has 1"},
		{`[["over",1,["flatten"]]]`, "pipeline[0][1]: want the name of a part, not a number"},
		{`[["over","rest",["pipe",[["split_every","5"]]]]]`, "pipeline[0][2][1][0][1]: want a number, not a string"},
		{`[["split_every",0]]`, "pipeline[0][1]: want a whole number of at least 1, not 0"},
		{`[["limit_layers",1.5]]`, "pipeline[0][1]: want a whole number"},
		{`[["split_paths","a"]]`, "pipeline[0][1]: want an array of paths, not a string"},
		{`[["split_paths",["a",{"child_of":"a"}]]]`, `pipeline[0][1][1]: want an object with "children_of"`},
		{`[["split_paths",["a",{"children_of":3}]]]`, "pipeline[0][1][1]: want a path or an array of them, not a number"},
		{`[["split_paths",[["a"]]]]`, `pipeline[0][1][0]: want a path or {"children_of": …}, not an array`},
		{`[["subcomponent_in","a"]]`, "pipeline[0][1]: want an array of paths, not a string"},
		{`[["remove_paths",["a","["]]]`, `pipeline[0][1][1]: "[" is neither a path nor a glob`},
		{`[["remove_paths",[["a"]]]]`, "pipeline[0][1][0]: want a path, not an array"},
		{`[["map",["map",3]]]`, "pipeline[0][1][1]: want a step"},
		{strings.Repeat(`[["pipe",`, 40) + `[]` + strings.Repeat(`]]`, 40), "nested more than 32 levels deep"},
		{`[["split_every",1],["split_every",1]]`, `pipeline[1]: split_every: takes one graph, and is given a list: use "over"`},
		{`[["reverse"]]`, "pipeline[0]: reverse: takes a list, and is given one graph"},
		{`[["split_paths",["b"]],["limit_layers",1]]`, `pipeline[1]: limit_layers: takes a list, and is given the parts main, rest: put ["flatten"] before it`},
		{`[["split_paths",["b"]],["over","common",["split_every",1]]]`, `pipeline[1]: over: there is no part "common" here: there is main, rest`},
		{`[["split_every",1],["over","main",["flatten"]]]`, "pipeline[1]: over: takes the parts that a split makes, and is given a list"},
		{`[["split_every",1],["map",["map",["reverse"]]]]`, "pipeline[1][1]: map: takes a list, and is given one graph"},
		{`[["split_every",2],["map",["split_every",1]],["limit_layers",1]]`, `pipeline[2]: limit_layers: joins graphs, and item 0 of the list is a list`},
		{`[["popularity_contest"],["popularity_contest"]]`, "pipeline[1]: popularity_contest: takes one graph"},
	} {
		p, err := ParsePipeline([]byte(test.pipeline))
		if err == nil {
			_, err = Plan(context.Background(), g, Options{Pipeline: p})
		}
		if _, ok := errors.AsType[*PipelineError](err); !ok || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", test.pipeline, err, test.want)
		}
	}
	if _, err := ParsePipeline(make([]byte, maxPipelineSize+1)); err == nil || !strings.Contains(err.Error(), "are allowed") {
		t.Errorf("too large: %v", err)
	}
}

// A pipeline takes what pins, groups and the base image leave, and has to keep
// the budget by itself.
func TestPipelineAmongOtherOptions(t *testing.T) {
	g := graphOf(t, "a 1 b", "b 1 c", "c 1", "d 1", "e 1")
	ones := mustPipeline(t, `[["split_every",1]]`)
	got := namesOf(plan(t, g, Options{Pipeline: ones, Pins: []Pin{{"[de]", "low"}}, Exclude: []string{testPath("b"), "/not/there"}}))
	if slices.Sort(got); fmt.Sprint(got) != "[a c d e]" {
		t.Errorf("got %q", got)
	}
	if len(got) != 3 {
		t.Errorf("layers %q, want a, c and the pinned", got)
	}
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{MaxLayers: 4}, `plan layers: the pipeline makes 5 layers of at most 4: end it with ["flatten"], ["limit_layers", N]`},
		{Options{Strategy: SizeFirst}, "leaves nothing to the strategy size-first"},
		{Options{MinSize: 1}, "leaves nothing to a minimum size"},
		{Options{Previous: [][]string{{"x"}}}, "leaves nothing to keep"},
	} {
		test.o.Pipeline = ones
		if _, err := Plan(context.Background(), g, test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %s", test.o, err, test.want)
		}
	}
}

// 5,000 paths, each step in use: far below the 2 s that are allowed here, since
// no step but the contest takes more than one look at each reference.
func TestPipelineIsQuick(t *testing.T) {
	g := mustGraph(t, randomNodes(rand.New(rand.NewPCG(1, 2)), 5000))
	p := mustPipeline(t, `[["subcomponent_out",["a*","b*"]],["over","main",["pipe",[["popularity_contest"],["limit_layers",20]]]],
		["over","rest",["pipe",[["split_paths",["c*"]],["flatten"],["map",["split_every",1]],["flatten"],["reverse"],["map",["remove_paths",["d*"]]],["limit_layers",30]]]]]`)
	began := time.Now()
	groups := plan(t, g, Options{Pipeline: p})
	// A hundred times what it takes, for slow machines and -race.
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if len(groups) == 0 || len(groups) > 50 {
		t.Errorf("%d layers", len(groups))
	}
}

// FuzzPipeline: no pipeline panics, errors say where, and no path is in two layers.
func FuzzPipeline(f *testing.F) {
	for _, s := range []string{
		`[["popularity_contest"],["limit_layers",3]]`,
		`[["split_paths",["a",{"children_of":["b"]}]],["over","rest",["pipe",[["split_every",1],["reverse"]]]],["flatten"],["map",["remove_paths","c"]]]`,
		`[["subcomponent_in",["d"]],["over","main",["subcomponent_out",["*"]]]]`,
		`[["map",["map",3]]]`, `[[["flatten"]]]`, `[["split_every",9223372036854775807],["limit_layers",1e2]]`,
	} {
		f.Add([]byte(s))
	}
	nodes := randomNodes(rand.New(rand.NewPCG(3, 4)), 30)
	nodes[0].Path, nodes[0].References = "/nix/store/x-a", nil
	for i := range nodes {
		for k, ref := range nodes[i].References {
			if !slices.ContainsFunc(nodes, func(n Node) bool { return n.Path == ref }) {
				nodes[i].References[k] = nodes[0].Path
			}
		}
	}
	g := mustGraph(f, nodes)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePipeline(data)
		if err != nil {
			if _, ok := err.(*PipelineError); !ok {
				t.Fatalf("error %T", err)
			}
			return
		}
		groups, err := Plan(context.Background(), g, Options{Pipeline: p})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, group := range groups {
			for _, path := range group.Paths {
				if seen[path] {
					t.Fatalf("%s is in two layers", path)
				}
				seen[path] = true
			}
		}
	})
}
