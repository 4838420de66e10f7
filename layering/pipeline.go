package layering

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Pipeline is a program that divides a closure, in the language of the
// argument layeringPipeline of nixpkgs' dockerTools. Make one with
// [ParsePipeline]; it never changes.
type Pipeline struct {
	steps []step
}

// PipelineError is an error in a pipeline, or one of a step on a closure.
type PipelineError struct {
	// At is the place: the indices to go down the arrays of its JSON.
	At  []int
	Err error
}

// Error says where, as in "pipeline[2][1]: …".
func (e *PipelineError) Error() string { return "pipeline" + e.Place() + ": " + e.Err.Error() }

// Place returns the indices as "[2][1]".
func (e *PipelineError) Place() string {
	var b strings.Builder
	for _, i := range e.At {
		b.WriteString("[" + strconv.Itoa(i) + "]")
	}
	return b.String()
}

func (e *PipelineError) Unwrap() error { return e.Err }

// step is one function with its arguments: what stands before the last.
type step struct {
	at   []int
	name string
	do   func(r *pipeRun, in value) (value, error)
}

// value is what goes through a pipeline: a graph, a list of values, or parts
// that have names.
type value struct {
	graph *piece
	items []value  // of a list, or the parts
	names []string // of the parts; nil for a list
}

func graphValue(p *piece) value { return value{graph: p} }

func (v *value) kind() string {
	switch {
	case v.graph != nil:
		return "one graph"
	case v.names != nil:
		return "the parts " + strings.Join(v.names, ", ")
	}
	return "a list"
}

// pipeRun is a run of a pipeline over a graph.
type pipeRun struct {
	ctx   context.Context
	g     *Graph
	index map[string]int32 // path → its number
	place []int32          // scratch: −1 for each
}

// run divides g. Paths that remove_paths has taken away are in no set.
func (p *Pipeline) run(ctx context.Context, g *Graph) ([][]int32, error) {
	r := &pipeRun{ctx: ctx, g: g, index: make(map[string]int32, g.Len()), place: make([]int32, g.Len())}
	for i, path := range g.paths {
		r.index[path] = int32(i)
		r.place[i] = -1
	}
	out, err := r.pipe(p.steps, graphValue(r.whole()))
	if err != nil {
		return nil, err
	}
	var sets [][]int32
	for _, v := range flatten(out) {
		if len(v.graph.paths) > 0 {
			sets = append(sets, v.graph.paths)
		}
	}
	return sets, nil
}

func (r *pipeRun) pipe(steps []step, v value) (value, error) {
	for i := range steps {
		if err := r.ctx.Err(); err != nil {
			return value{}, err
		}
		var err error
		if v, err = r.do(&steps[i], v); err != nil {
			return value{}, err
		}
	}
	return v, nil
}

// do runs a step and has its errors say where it stands.
func (r *pipeRun) do(s *step, v value) (value, error) {
	out, err := s.do(r, v)
	switch err.(type) {
	case nil, *PipelineError:
		return out, err
	}
	if r.ctx.Err() != nil {
		return value{}, err
	}
	return value{}, &PipelineError{s.at, fmt.Errorf("%s: %w", s.name, err)}
}

// flatten returns all graphs of a value, in order.
func flatten(v value) []value {
	if v.graph != nil {
		return []value{v}
	}
	var all []value
	for _, item := range v.items {
		all = append(all, flatten(item)...)
	}
	return all
}

// byPipeline is the strategy that a pipeline is.
func byPipeline(pipeline *Pipeline) strategy {
	return func(ctx context.Context, p *problem) ([]part, error) {
		if len(p.free) == 0 {
			return p.amongPinned(nil), ctx.Err()
		}
		sets, err := pipeline.run(ctx, p.g.induced(p.free))
		if err != nil {
			return nil, fmt.Errorf("plan layers: %w", err)
		}
		renumber(sets, p.free)
		if made := len(sets) + len(p.pinned); made > p.budget {
			return nil, fmt.Errorf("plan layers: the pipeline makes %d layers of at most %d: end it with [\"flatten\"], [\"limit_layers\", N]", made, p.budget)
		}
		return p.amongPinned(sets), nil
	}
}
