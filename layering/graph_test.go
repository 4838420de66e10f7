package layering

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// graphOf makes a graph from lines "name size reference…", where a name
// stands for /nix/store/HASH-name with a hash made of the name.
func graphOf(t *testing.T, lines ...string) *Graph {
	t.Helper()
	var nodes []Node
	for _, line := range lines {
		f := strings.Fields(line)
		n := Node{Path: testPath(f[0])}
		for _, c := range f[1] {
			n.Size = n.Size*10 + int64(c-'0')
		}
		for _, ref := range f[2:] {
			n.References = append(n.References, testPath(ref))
		}
		nodes = append(nodes, n)
	}
	return mustGraph(t, nodes)
}

func mustGraph(t testing.TB, nodes []Node) *Graph {
	t.Helper()
	g, err := NewGraph(nodes)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// testPath returns a store path with the given name. "name@x" gives another hash.
func testPath(name string) string {
	plain, _, _ := strings.Cut(name, "@")
	return "/nix/store/" + testHash(hashString(name)) + "-" + plain
}

func testHash(seed uint64) string {
	const alphabet = "0123456789abcdfghijklmnpqrsvwxyz"
	b := make([]byte, 32)
	for i := range b {
		seed = mix(seed)
		b[i] = alphabet[seed%32]
	}
	return string(b)
}

// namesOf returns the groups as strings "a b", for comparing.
func namesOf(groups []Group) []string {
	var out []string
	for _, g := range groups {
		var names []string
		for _, p := range g.Paths {
			_, name := splitPath(p)
			names = append(names, name)
		}
		out = append(out, strings.Join(names, " "))
	}
	return out
}

// randomNodes makes a closure of n paths: heavy-tailed sizes, a few
// references each, some names that occur twice.
func randomNodes(r *rand.Rand, n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		name := "p" + string(rune('a'+r.IntN(26))) + string(rune('a'+r.IntN(26))) + "-" + string(rune('0'+r.IntN(10)))
		nodes[i].Path = "/nix/store/" + testHash(r.Uint64()) + "-" + name
		nodes[i].Size = int64(1000 / (0.00001 + r.Float64()))
		if i == 0 {
			continue
		}
		for range r.IntN(5) {
			// Most refer to something near, some to the foundations.
			ref := i - 1 - r.IntN(min(i, 20))
			if r.IntN(3) == 0 {
				ref = r.IntN(min(i, 5))
			}
			nodes[i].References = append(nodes[i].References, nodes[ref].Path)
		}
		if r.IntN(4) == 0 {
			nodes[i].References = append(nodes[i].References, nodes[i].Path)
		}
	}
	return nodes
}

func TestNewGraphRefuses(t *testing.T) {
	a, b, c := testPath("a"), testPath("b"), testPath("c")
	for name, test := range map[string]struct {
		nodes []Node
		want  []string
	}{
		"unknown reference": {[]Node{{Path: a, References: []string{b}}}, []string{a, "refers to " + b, "not in the closure"}},
		"path twice":        {[]Node{{Path: a}, {Path: b}, {Path: a}}, []string{a, "twice"}},
		"negative size":     {[]Node{{Path: a, Size: -1}}, []string{a, "-1"}},
		"no path":           {[]Node{{Path: a}, {}}, []string{"node 1"}},
		"sizes overflow":    {[]Node{{Path: a, Size: 1 << 62}, {Path: b, Size: 1 << 62}}, []string{"more than"}},
		"too many bytes":    {[]Node{{Path: a, Size: maxTotal}, {Path: b, Size: 1}}, []string{b, "more than 4398046511104 bytes"}},
		"circle": {[]Node{{Path: a, References: []string{b}}, {Path: b, References: []string{c}}, {Path: c, References: []string{b}}},
			[]string{"circle", b + " → " + c + " → " + b}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewGraph(test.nodes)
			if err == nil {
				t.Fatal("NewGraph took it")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

func TestNewGraphLongCircle(t *testing.T) {
	nodes := make([]Node, 1000)
	for i := range nodes {
		nodes[i].Path = testPath("n" + string(rune('0'+i/100)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10)))
	}
	for i := range nodes {
		nodes[i].References = []string{nodes[(i+1)%len(nodes)].Path}
	}
	_, err := NewGraph(nodes)
	if err == nil || !strings.Contains(err.Error(), "more") || len(err.Error()) > 1000 {
		t.Fatalf("want a short error, got %v", err)
	}
}

func TestNewGraphDropsSelfAndRepeatedReferences(t *testing.T) {
	g := graphOf(t, "a 1 a b b", "b 2 b")
	if got := g.refs.of(0); !slices.Equal(got, []int32{1}) {
		t.Errorf("a refers to %v, want [1]", got)
	}
	if got := g.users.of(1); !slices.Equal(got, []int32{0}) {
		t.Errorf("users of b are %v, want [0]", got)
	}
	if g.Len() != 2 || g.Size() != 3 {
		t.Errorf("Len, Size = %d, %d, want 2, 3", g.Len(), g.Size())
	}
}

func TestShapeIgnoresHashes(t *testing.T) {
	// Two paths with one name and one size, told apart by what refers to them.
	before := graphOf(t, "lib@1 5", "lib@2 5", "x 1 lib@1", "y 1 lib@2")
	after := graphOf(t, "lib@3 5", "lib@0 5", "x 1 lib@3", "y 1 lib@0")
	userOfFirst := func(g *Graph) string {
		for i, rank := range g.shape {
			if rank == 0 {
				return g.paths[g.users.of(int32(i))[0]]
			}
		}
		return ""
	}
	if a, b := userOfFirst(before), userOfFirst(after); a != b {
		t.Errorf("the first lib is used by %s, and with other hashes by %s", a, b)
	}
}

// Paths of one source share the event that it is updated.
func TestSources(t *testing.T) {
	for _, c := range []struct {
		a, b string
		one  bool
	}{
		{"gcc-13.3.0", "gcc-13.3.0-lib", true}, {"libgcc-13.3.0", "gcc-13.3.0", true}, {"a-6.4-4", "b-6.4-4", true},
		{"a-1.0.0", "b-1.0.0", false}, {"a-1.0.0", "a-1.0.0-dev", true}, {"a-2.12", "b-2.12", false}, {"a", "b", false}, {"a", "a-dev", false},
	} {
		g := graphOf(t, c.a+" 1", c.b+" 1")
		if source, _ := g.sourceEvents(); (source[0] >= 0 && source[0] == source[1]) != c.one {
			t.Errorf("%s and %s are of one source: %v, want %v", c.a, c.b, !c.one, c.one)
		}
	}
}

// jsonGraph is a closure in a file of testdata.
type jsonGraph []struct {
	Path       string
	NarSize    int64
	References []string
}

func (g jsonGraph) nodes() []Node {
	nodes := make([]Node, len(g))
	for i, n := range g {
		nodes[i] = Node{n.Path, n.NarSize, n.References}
	}
	return nodes
}

func readCases(t *testing.T, name string, cases any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err == nil {
		err = json.Unmarshal(data, cases)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// indexed is nodes as somebody keeps them who knows references by index.
type indexed struct{ nodeList }

func (x indexed) References(i int) (refs []uint32) {
	for _, ref := range x.nodeList[i].References {
		refs = append(refs, uint32(slices.IndexFunc(x.nodeList, func(n Node) bool { return n.Path == ref })))
	}
	return refs
}

func TestGraphOfIsNewGraph(t *testing.T) {
	nodes := randomNodes(rand.New(rand.NewPCG(3, 4)), 60)
	nodes[5].References = append(nodes[5].References, nodes[5].Path, nodes[2].Path, nodes[2].Path)
	want := mustGraph(t, nodes)
	got, err := GraphOf(indexed{nodes})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("another graph: %v", err)
	}
	nodes[2].References = []string{nodes[5].Path}
	if _, err := GraphOf(indexed{nodes}); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("a circle is taken: %v", err)
	}
}
