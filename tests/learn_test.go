package tests

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"terrine/builder/planfile"
	"terrine/layering"
	"terrine/store"
	"terrine/tests/fixtures"
	"terrine/tests/histories"
	"terrine/tests/lab"
)

// TestLearnFromAHistory learns from the images of a real history, as the graphs
// that Nix writes and as plans: the rates are the same, and they are those
// that the history gives without any file between. In the years after, they
// make hosts pull less.
func TestLearnFromAHistory(t *testing.T) {
	d := newDesk(t)
	h, err := histories.Load("histories/testdata/server.json")
	if err != nil {
		t.Fatal(err)
	}
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }
	images, err := h.At(histories.Monthly(year(2010), year(2012)))
	if err != nil {
		t.Fatal(err)
	}
	var graphs, plans, mixed []string
	var known []*layering.Graph
	for i, image := range images {
		known = append(known, image.Graph)
		graph := d.Write(graphFile(t, image.Nodes), "graphs", fmt.Sprintf("%03d.json", i))
		layers := fmt.Sprint(1 + i%7*9) // whatever the layers were
		plan := d.Write(d.Run("plan", "--graph", graph, "--max-layers", layers, "--json"), "plans", fmt.Sprintf("%03d.json", i))
		graphs, plans = append(graphs, graph), append(plans, plan)
		if mixed = append(mixed, graph); i%2 == 0 {
			mixed[i] = plan
		}
	}
	ofGraphs := d.Run(append([]string{"learn"}, graphs...)...)
	if ofPlans := d.Run(append([]string{"learn"}, plans...)...); ofPlans != ofGraphs {
		t.Errorf("of plans it learns\n%s\nof graphs\n%s", ofPlans, ofGraphs)
	}
	file := d.Path("rates.json")
	d.Run(append([]string{"learn", "-o", file}, mixed...)...)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != ofGraphs {
		t.Errorf("of plans and graphs it learns\n%s\nof graphs\n%s", text, ofGraphs)
	}
	want, err := layering.Learn(known)
	if err != nil {
		t.Fatal(err)
	}
	rates, err := layering.ParseRates(text)
	if err != nil || lab.Encode(t, rates) != lab.Encode(t, want) {
		t.Errorf("learned %s, %v, want %s", lab.Encode(t, rates), err, lab.Encode(t, want))
	}
	later, err := h.At(histories.Monthly(year(2012), year(2014)))
	if err != nil {
		t.Fatal(err)
	}
	blind, err := histories.Replay(t.Context(), later, layering.Options{MaxLayers: 20})
	if err != nil {
		t.Fatal(err)
	}
	seeing, err := histories.Replay(t.Context(), later, layering.Options{MaxLayers: 20, Rates: rates})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("pull and chain in 20 layers: without rates %.3f, %.3f; with rates %.3f, %.3f", blind.Pull, blind.Chain, seeing.Pull, seeing.Chain)
	if seeing.Pull >= blind.Pull {
		t.Errorf("hosts pull %.4f with rates, %.4f without", seeing.Pull, blind.Pull)
	}
	if said := d.Run("plan", "--graph", graphs[0], "--max-layers", "20", "--rates", file); !strings.Contains(said, "\nof the plan without rates: pull ") {
		t.Errorf("the plan does not say what the rates save:\n%s", said)
	}
}

// TestReferencesOfAnArchive finds in the files of an archive the references that
// Nix has found when it built the paths.
func TestReferencesOfAnArchive(t *testing.T) {
	lab.EndToEnd(t)
	built := fixtures.Build(t, "everything", "hello")
	d := newDesk(t)
	s := spec{"name": "references", "contents": []string{built[1]}, "config": spec{"Cmd": []string{built[0]}}}
	for _, name := range []string{"image.tar", "image.tar.gz", "image.tar.zst"} {
		archive, _ := d.build(s, name)
		found, err := planfile.Open(t.Context(), archive, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := found.FindReferences(t.Context(), archive, nil); err != nil || !found.References {
			t.Fatalf("%s: references are known: %t, %v", name, found.References, err)
		}
		known, err := planfile.Open(t.Context(), d.Write(d.Run("plan", d.Path("image.json"), "--json"), "plan.json"), nil)
		if err != nil {
			t.Fatal(err)
		}
		want, got := map[store.Path][]store.Path{}, map[store.Path][]store.Path{}
		count := 0
		for _, info := range known.Graph {
			want[info.Path] = info.References
			count += len(info.References)
		}
		for _, info := range found.Graph {
			got[info.Path] = info.References
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || count == 0 {
			t.Errorf("%s: of %d references (-Nix +archive):\n%s", name, count, diff)
		}
	}
}

// graphFile writes nodes as exportReferencesGraph does.
func graphFile(t *testing.T, nodes []layering.Node) string {
	t.Helper()
	type object struct {
		Path       string   `json:"path"`
		NARHash    string   `json:"narHash"`
		NARSize    int64    `json:"narSize"`
		References []string `json:"references"`
	}
	graph := make([]object, len(nodes))
	for i, n := range nodes {
		refs := append([]string{}, n.References...)
		graph[i] = object{n.Path, "sha256:" + digest.FromString(n.Path).Encoded(), n.Size, refs}
	}
	return lab.Encode(t, graph)
}
