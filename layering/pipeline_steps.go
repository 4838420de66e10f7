package layering

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// pathSpec is an argument of split_paths: paths, or what they refer to.
type pathSpec struct {
	patterns []string
	children bool
}

// wantGraph returns the graph that v has to be.
func wantGraph(v value) (*piece, error) {
	if v.graph == nil {
		return nil, fmt.Errorf(`takes one graph, and is given %s: use "over" for a part, "map" for each of a list`, v.kind())
	}
	return v.graph, nil
}

// wantList returns the items of the list that v has to be.
func wantList(v value) ([]value, error) {
	switch {
	case v.graph != nil:
		return nil, errors.New("takes a list, and is given one graph")
	case v.names != nil:
		return nil, fmt.Errorf(`takes a list, and is given %s: put ["flatten"] before it`, v.kind())
	}
	return v.items, nil
}

// parts returns the parts with these names, without the empty ones if asked.
func parts(names []string, pieces []*piece, dropEmpty bool) value {
	v := value{names: []string{}}
	for i, p := range pieces {
		if dropEmpty && len(p.paths) == 0 {
			continue
		}
		v.names = append(v.names, names[i])
		v.items = append(v.items, graphValue(p))
	}
	return v
}

// popularityContest makes a graph of each path, the most popular first.
func popularityContest(r *pipeRun, in value) (value, error) {
	p, err := wantGraph(in)
	if err != nil {
		return value{}, err
	}
	g, err := r.graph(p)
	if err != nil {
		return value{}, err
	}
	order, err := mostPopular(r.ctx, g, g.Len())
	if err != nil {
		return value{}, err
	}
	out := value{items: make([]value, len(order))}
	for i, at := range order {
		out.items[i] = graphValue(&piece{paths: []int32{r.index[g.paths[at]]}, refs: edges{from: []int32{0, 0}}})
	}
	return out, nil
}

// limitLayers keeps the first count−1 graphs and joins the rest to one.
func limitLayers(count int) func(*pipeRun, value) (value, error) {
	return func(_ *pipeRun, in value) (value, error) {
		items, err := wantList(in)
		if err != nil || len(items) <= count {
			return in, err
		}
		for i, item := range items[count-1:] {
			if item.graph == nil {
				return value{}, fmt.Errorf(`joins graphs, and item %d of the list is %s: put ["flatten"] before it`, count-1+i, item.kind())
			}
		}
		kept := slices.Clone(items[:count-1])
		return value{items: append(kept, graphValue(joined(items[count-1:])))}, nil
	}
}

func splitEvery(count int) func(*pipeRun, value) (value, error) {
	return func(r *pipeRun, in value) (value, error) {
		p, err := wantGraph(in)
		if err != nil {
			return value{}, err
		}
		var out value
		for at := 0; at < len(p.paths); {
			end := at + min(count, len(p.paths)-at)
			places := make([]int32, 0, end-at)
			for ; at < end; at++ {
				places = append(places, int32(at))
			}
			out.items = append(out.items, graphValue(r.induced(p, places, nil)))
		}
		return out, nil
	}
}

// splitPaths splits off some paths with all that only they need: main is
// that, common what others need as well, rest all others.
func splitPaths(specs []pathSpec) func(*pipeRun, value) (value, error) {
	return func(r *pipeRun, in value) (value, error) {
		p, err := wantGraph(in)
		if err != nil {
			return value{}, err
		}
		var off []int32
		for _, spec := range specs {
			found := r.find(p, spec.patterns)
			if !spec.children {
				off = append(off, found...)
				continue
			}
			for _, i := range found {
				off = append(off, p.refs.of(i)...)
			}
		}
		if len(off) == 0 {
			return parts([]string{"rest"}, []*piece{p}, false), nil
		}
		cut := make([]bool, len(p.paths))
		for _, i := range off {
			cut[i] = true
		}
		roots := p.roots()
		if len(roots) == 1 && cut[roots[0]] {
			return parts([]string{"main"}, []*piece{p}, false), nil
		}
		main, others := reached(p.refs, off, nil), reached(p.refs, slices.DeleteFunc(roots, func(i int32) bool { return cut[i] }), cut)
		common, rest := make([]bool, len(main)), make([]bool, len(main))
		for i := range main {
			common[i] = main[i] && others[i]
			rest[i] = !main[i]
			main[i] = main[i] && !others[i]
		}
		return parts([]string{"main", "common", "rest"}, []*piece{
			r.chosen(p, main, true, cut), r.chosen(p, common, true, cut), r.chosen(p, rest, true, cut),
		}, true), nil
	}
}

// roots returns the places that nothing in p refers to.
func (p *piece) roots() []int32 {
	used := make([]bool, len(p.paths))
	for _, ref := range p.refs.to {
		used[ref] = true
	}
	var roots []int32
	for i := range used {
		if !used[i] {
			roots = append(roots, int32(i))
		}
	}
	return roots
}

// subcomponent splits off some paths with all that they need, or, with users,
// all that need them.
func subcomponent(patterns []string, users bool) func(*pipeRun, value) (value, error) {
	return func(r *pipeRun, in value) (value, error) {
		p, err := wantGraph(in)
		if err != nil {
			return value{}, err
		}
		along := p.refs
		if users {
			along = transpose(p.refs)
		}
		main := reached(along, r.find(p, patterns), nil)
		return parts([]string{"main", "rest"}, []*piece{r.chosen(p, main, true, nil), r.chosen(p, main, false, nil)}, false), nil
	}
}

func removePaths(patterns []string) func(*pipeRun, value) (value, error) {
	return func(r *pipeRun, in value) (value, error) {
		p, err := wantGraph(in)
		if err != nil {
			return value{}, err
		}
		gone := make([]bool, len(p.paths))
		for _, i := range r.find(p, patterns) {
			gone[i] = true
		}
		return graphValue(r.chosen(p, gone, false, nil)), nil
	}
}

func reverseList(_ *pipeRun, in value) (value, error) {
	items, err := wantList(in)
	items = slices.Clone(items)
	slices.Reverse(items)
	return value{items: items}, err
}

func flattenAll(_ *pipeRun, in value) (value, error) { return value{items: flatten(in)}, nil }

func mapEach(f step) func(*pipeRun, value) (value, error) {
	return func(r *pipeRun, in value) (value, error) {
		items, err := wantList(in)
		if err != nil {
			return value{}, err
		}
		out := value{items: make([]value, len(items))}
		for i, item := range items {
			if err := r.ctx.Err(); err != nil {
				return value{}, err
			}
			if out.items[i], err = r.do(&f, item); err != nil {
				return value{}, err
			}
		}
		return out, nil
	}
}

func overPart(name string, f step) func(*pipeRun, value) (value, error) {
	return func(r *pipeRun, in value) (value, error) {
		if in.names == nil {
			return value{}, fmt.Errorf("takes the parts that a split makes, and is given %s", in.kind())
		}
		k := slices.Index(in.names, name)
		if k < 0 {
			return value{}, fmt.Errorf("there is no part %q here: there is %s", name, strings.Join(in.names, ", "))
		}
		part, err := r.do(&f, in.items[k])
		if err != nil {
			return value{}, err
		}
		items := slices.Clone(in.items)
		items[k] = part
		return value{items: items, names: in.names}, nil
	}
}

func pipeThrough(steps []step) func(*pipeRun, value) (value, error) {
	return func(r *pipeRun, in value) (value, error) { return r.pipe(steps, in) }
}
