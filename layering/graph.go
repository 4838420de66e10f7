package layering

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Node is one store path of a closure.
type Node struct {
	// Path is the full store path. Its name is what follows the first dash of
	// its last component; the part before is its hash.
	Path string
	// Size is what the path adds to a layer, in bytes (its narSize).
	Size int64
	// References are the paths it refers to, in any order. A reference to
	// itself is allowed and says nothing; a path named twice counts once.
	References []string
}

// Graph is a closure: paths, their sizes, and who refers to whom. It never
// changes, so that any number of goroutines may plan with one Graph.
//
// Paths are numbered 0 … Len()-1 by name and then hash, whatever the order
// they were given in. Edges are kept as two flat arrays each way: a closure
// of 100,000 paths and a million references takes about 12 MB.
type Graph struct {
	paths []string
	sizes []int64
	total int64
	refs  edges   // i refers to refs.of(i)
	users edges   // users.of(i) refer to i
	topo  []int32 // every path after all that it refers to
	shape []int32 // rank by name, then by place in the graph; see rankByShape

	listing bool // references are not known; see NewListing
}

// edges is an adjacency list without pointers: the neighbours of i are
// to[from[i]:from[i+1]].
type edges struct {
	from []int32
	to   []int32
}

func (e edges) of(i int32) []int32 { return e.to[e.from[i]:e.from[i+1]] }

// maxTotal bounds the sizes of all paths together: 4 TiB. Costs are kept in 1/256
// bytes, summed up over the horizon, and multiplied by up to MaxChainWeight, and
// have to fit 63 bits.
const maxTotal = 1 << 42

// Closure is a closure as somebody else keeps it.
type Closure interface {
	// Len returns the number of paths.
	Len() int
	// Node returns Path and Size of the Node of path i.
	Node(i int) (path string, size int64)
	// References returns the indices of the paths that path i refers to, as the
	// References of a Node.
	References(i int) []uint32
}

// NewGraph checks nodes and returns them as a Graph. A path named twice, a
// negative size, sizes of more than 4 TiB in all, a reference to a path that is
// not among nodes, and a circle of references (a real closure has none but self
// references) are errors.
func NewGraph(nodes []Node) (*Graph, error) {
	g, order, err := arrange(nodeList(nodes))
	if err != nil {
		return nil, err
	}
	index := make(map[string]int32, len(nodes))
	for i, path := range g.paths {
		index[path] = int32(i)
	}
	count := 0
	for i := range nodes {
		count += len(nodes[i].References)
	}
	return g.connect(order, count, func(to []int32, at int32) ([]int32, error) {
		for _, ref := range nodes[at].References {
			j, ok := index[ref]
			if !ok {
				return nil, fmt.Errorf("make graph: %s refers to %s, which is not in the closure", nodes[at].Path, ref)
			}
			to = append(to, j)
		}
		return to, nil
	})
}

type nodeList []Node

func (l nodeList) Len() int { return len(l) }

func (l nodeList) Node(i int) (string, int64) { return l[i].Path, l[i].Size }

// GraphOf is NewGraph for what is kept elsewhere. It keeps the paths of c, and not c.
func GraphOf(c Closure) (*Graph, error) {
	g, order, err := arrange(c)
	if err != nil {
		return nil, err
	}
	place := make([]int32, len(order))
	count := 0
	for i, at := range order {
		place[at] = int32(i)
		count += len(c.References(i))
	}
	return g.connect(order, count, func(to []int32, at int32) ([]int32, error) {
		for _, ref := range c.References(int(at)) {
			to = append(to, place[ref])
		}
		return to, nil
	})
}

// connect adds to g, whose paths are in that order, its references, of which there are
// count: refer appends those of a path, as places in the order.
func (g *Graph) connect(order []int32, count int, refer func(to []int32, at int32) ([]int32, error)) (_ *Graph, err error) {
	if g.refs, err = collectReferences(order, count, refer); err != nil {
		return nil, err
	}
	g.users = transpose(g.refs)
	if g.topo, err = g.sortTopologically(); err != nil {
		return nil, err
	}
	g.shape = g.rankByShape()
	return g, nil
}

// NewListing returns the graph of an image of which no references are known,
// for Learn: there a path with another hash and the same version was carried
// along. References of nodes are not looked at. Errors are those of NewGraph.
func NewListing(nodes []Node) (*Graph, error) {
	bare := make([]Node, len(nodes))
	for i, n := range nodes {
		bare[i] = Node{Path: n.Path, Size: n.Size}
	}
	g, err := NewGraph(bare)
	if err == nil {
		g.listing = true
	}
	return g, err
}

// Len returns the number of paths.
func (g *Graph) Len() int { return len(g.paths) }

// Size returns the sum of the sizes of all paths, in bytes.
func (g *Graph) Size() int64 { return g.total }

// arrange returns a graph without references, and the indices of its paths in c.
func arrange(c interface {
	Len() int
	Node(i int) (path string, size int64)
}) (*Graph, []int32, error) {
	n := c.Len()
	if n >= math.MaxInt32 {
		return nil, nil, fmt.Errorf("make graph: %d paths are too many", n)
	}
	order := make([]int32, n)
	keys := make([]nameKey, n)
	for i := range n {
		path, size := c.Node(i)
		if path == "" {
			return nil, nil, fmt.Errorf("make graph: node %d has no path", i)
		}
		if size < 0 {
			return nil, nil, fmt.Errorf("make graph: %s has negative size %d", path, size)
		}
		order[i], keys[i] = int32(i), keyOf(path)
	}
	slices.SortFunc(order, func(a, b int32) int { return keys[a].compare(keys[b]) })
	g := &Graph{paths: make([]string, n), sizes: make([]int64, n)}
	for i, at := range order {
		g.paths[i], g.sizes[i] = c.Node(int(at))
		if i > 0 && g.paths[i] == g.paths[i-1] {
			return nil, nil, fmt.Errorf("make graph: %s stands there twice", g.paths[i])
		}
		if g.sizes[i] > maxTotal-g.total {
			return nil, nil, fmt.Errorf("make graph: with %s there are more than %d bytes", g.paths[i], int64(maxTotal))
		}
		g.total += g.sizes[i]
	}
	return g, order, nil
}

func collectReferences(order []int32, count int, refer func(to []int32, at int32) ([]int32, error)) (edges, error) {
	if count >= math.MaxInt32 {
		return edges{}, fmt.Errorf("make graph: %d references are too many", count)
	}
	e := edges{from: make([]int32, 1, len(order)+1), to: make([]int32, 0, count)}
	for i, at := range order {
		start := len(e.to)
		var err error
		if e.to, err = refer(e.to, at); err != nil {
			return edges{}, err
		}
		slices.Sort(e.to[start:])
		own := slices.DeleteFunc(slices.Compact(e.to[start:]), func(j int32) bool { return j == int32(i) })
		e.to = e.to[:start+len(own)]
		e.from = append(e.from, int32(len(e.to)))
	}
	return e, nil
}

func transpose(e edges) edges {
	n := len(e.from) - 1
	t := edges{from: make([]int32, n+1), to: make([]int32, len(e.to))}
	for _, j := range e.to {
		t.from[j+1]++
	}
	for i := range n {
		t.from[i+1] += t.from[i]
	}
	next := slices.Clone(t.from[:n])
	for i := range int32(n) {
		for _, j := range e.of(i) {
			t.to[next[j]] = i
			next[j]++
		}
	}
	return t
}

// sortTopologically orders the paths so that each comes after those it refers to.
func (g *Graph) sortTopologically() ([]int32, error) {
	n := int32(g.Len())
	waits := make([]int32, n)
	topo := make([]int32, 0, n)
	for i := range n {
		if waits[i] = int32(len(g.refs.of(i))); waits[i] == 0 {
			topo = append(topo, i)
		}
	}
	for done := 0; done < len(topo); done++ {
		for _, user := range g.users.of(topo[done]) {
			if waits[user]--; waits[user] == 0 {
				topo = append(topo, user)
			}
		}
	}
	if len(topo) < int(n) {
		return nil, g.circleError(waits)
	}
	return topo, nil
}

// circleError names one circle. Every path that still waits refers to another
// that waits, so going down from any of them comes to a circle.
func (g *Graph) circleError(waits []int32) error {
	at := int32(slices.IndexFunc(waits, func(w int32) bool { return w > 0 }))
	seen := make(map[int32]int)
	var trail []int32
	for {
		if start, again := seen[at]; again {
			trail = append(trail[start:], at)
			break
		}
		seen[at] = len(trail)
		trail = append(trail, at)
		for _, ref := range g.refs.of(at) {
			if waits[ref] > 0 {
				at = ref
				break
			}
		}
	}
	const shown = 8 // enough to see what it is; a circle may be thousands long
	var names []string
	for i, p := range trail {
		if i == shown && len(trail) > shown+1 {
			names = append(names, fmt.Sprintf("… (%d more) …", len(trail)-shown-1), g.paths[trail[len(trail)-1]])
			break
		}
		names = append(names, g.paths[p])
	}
	return errors.New("make graph: references go in a circle: " + strings.Join(names, " → "))
}

// nameKey orders paths by name, then hash, then the rest of the path.
type nameKey struct{ name, hash, path string }

func keyOf(path string) nameKey {
	hash, name := splitPath(path)
	return nameKey{name, hash, path}
}

func (k nameKey) compare(o nameKey) int {
	return cmp.Or(strings.Compare(k.name, o.name), strings.Compare(k.hash, o.hash), strings.Compare(k.path, o.path))
}

// splitPath splits the last component of a store path at its first dash. A
// component without one is all name.
func splitPath(path string) (hash, name string) {
	base := path[strings.LastIndexByte(path, '/')+1:]
	if hash, name, ok := strings.Cut(base, "-"); ok {
		return hash, name
	}
	return "", base
}
