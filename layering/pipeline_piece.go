package layering

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// piece is a graph on its way through a pipeline: some paths of the closure,
// and the references that are left among them. Splitting takes references
// away, and joining pieces does not bring them back.
type piece struct {
	paths []int32 // numbers in the closure; the order counts, as split_every cuts by it
	refs  edges   // from place in paths to place in paths
}

// whole returns the closure, the smallest path first as nixpkgs has it; equal
// ones in the order of the graph.
func (r *pipeRun) whole() *piece {
	p := &piece{paths: make([]int32, r.g.Len())}
	for i := range p.paths {
		p.paths[i] = int32(i)
	}
	slices.SortFunc(p.paths, func(a, b int32) int {
		return cmp.Or(cmp.Compare(r.g.sizes[a], r.g.sizes[b]), cmp.Compare(a, b))
	})
	place := make([]int32, len(p.paths))
	for i, at := range p.paths {
		place[at] = int32(i)
	}
	p.refs.from = append(p.refs.from, 0)
	for _, at := range p.paths {
		for _, ref := range r.g.refs.of(at) {
			p.refs.to = append(p.refs.to, place[ref])
		}
		p.refs.from = append(p.refs.from, int32(len(p.refs.to)))
	}
	return p
}

// induced returns the piece of some of p's paths, given by ascending place,
// with the references among them but those to places that cut has.
func (r *pipeRun) induced(p *piece, places []int32, cut []bool) *piece {
	out := &piece{paths: make([]int32, len(places))}
	for k, i := range places {
		out.paths[k] = p.paths[i]
		r.place[i] = int32(k)
	}
	out.refs.from = append(make([]int32, 0, len(places)+1), 0)
	for _, i := range places {
		for _, ref := range p.refs.of(i) {
			if to := r.place[ref]; to >= 0 && (cut == nil || !cut[ref]) {
				out.refs.to = append(out.refs.to, to)
			}
		}
		out.refs.from = append(out.refs.from, int32(len(out.refs.to)))
	}
	for _, i := range places {
		r.place[i] = -1
	}
	return out
}

// chosen returns the piece of the places for which in is want.
func (r *pipeRun) chosen(p *piece, in []bool, want bool, cut []bool) *piece {
	var places []int32
	for i, b := range in {
		if b == want {
			places = append(places, int32(i))
		}
	}
	return r.induced(p, places, cut)
}

// joined puts pieces one after the other, with no references between them.
func joined(pieces []value) *piece {
	out := &piece{}
	out.refs.from = append(out.refs.from, 0)
	for _, v := range pieces {
		p := v.graph
		first := int32(len(out.paths))
		out.paths = append(out.paths, p.paths...)
		for i := range p.paths {
			for _, ref := range p.refs.of(int32(i)) {
				out.refs.to = append(out.refs.to, first+ref)
			}
			out.refs.from = append(out.refs.from, int32(len(out.refs.to)))
		}
	}
	return out
}

// reached returns the places of p that lead to or from the given ones along e,
// themselves included, without going over a reference to a place of cut.
func reached(e edges, from []int32, cut []bool) []bool {
	seen := make([]bool, len(e.from)-1)
	stack := make([]int32, 0, len(from))
	push := func(i int32) {
		if !seen[i] {
			seen[i] = true
			stack = append(stack, i)
		}
	}
	for _, i := range from {
		push(i)
	}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, to := range e.of(i) {
			if cut == nil || !cut[to] {
				push(to)
			}
		}
	}
	return seen
}

// find returns the places in p of what patterns name: a path, or else what
// matches as a glob, as pins do. nixpkgs takes paths only. What is not there
// is passed over.
func (r *pipeRun) find(p *piece, patterns []string) []int32 {
	if len(patterns) == 0 {
		return nil
	}
	for i, at := range p.paths {
		r.place[at] = int32(i)
	}
	var found []int32
	for _, pattern := range patterns {
		if at, known := r.index[pattern]; known {
			if i := r.place[at]; i >= 0 {
				found = append(found, i)
			}
			continue
		}
		for i, at := range p.paths {
			if matches(pattern, r.g.paths[at]) {
				found = append(found, int32(i))
			}
		}
	}
	for _, at := range p.paths {
		r.place[at] = -1
	}
	return found
}

// matches tells whether a well-formed glob matches a store path: its name, or
// the whole if the glob has a slash.
func matches(glob, storePath string) bool {
	subject := storePath
	if !strings.Contains(glob, "/") {
		_, subject = splitPath(storePath)
	}
	ok, _ := path.Match(glob, subject)
	return ok
}

// graph returns p as a graph of its own.
func (r *pipeRun) graph(p *piece) (*Graph, error) {
	nodes := make([]Node, len(p.paths))
	for i, at := range p.paths {
		nodes[i] = Node{Path: r.g.paths[at], Size: r.g.sizes[at]}
		for _, ref := range p.refs.of(int32(i)) {
			nodes[i].References = append(nodes[i].References, r.g.paths[p.paths[ref]])
		}
	}
	return NewGraph(nodes)
}
