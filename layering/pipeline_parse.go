package layering

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
)

// Bounds of a pipeline. Real ones have a dozen steps, three levels deep.
const (
	maxPipelineSize  = 1 << 20
	maxPipelineDepth = 32
)

// pipelineFunctions are the names that a step may have.
var pipelineFunctions = [...]string{
	"flatten", "limit_layers", "map", "over", "pipe", "popularity_contest", "remove_paths", "reverse", "split_every",
	"split_paths", "subcomponent_in", "subcomponent_out",
}

// ParsePipeline reads a pipeline in JSON: an array of steps, each an array of
// the name of a function and its arguments. Every mistake that is no matter of
// a closure is found now. Errors are of type [*PipelineError].
func ParsePipeline(data []byte) (*Pipeline, error) {
	if len(data) > maxPipelineSize {
		return nil, &PipelineError{nil, fmt.Errorf("%d bytes: at most %d are allowed", len(data), maxPipelineSize)}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &PipelineError{nil, errors.New("there is nothing")}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, &PipelineError{nil, err}
	}
	if len(bytes.TrimSpace(data[dec.InputOffset():])) > 0 {
		return nil, &PipelineError{nil, errors.New("more follows after the end")}
	}
	c := &pipelineCompiler{}
	steps, err := c.steps(doc)
	if err != nil {
		return nil, err
	}
	return &Pipeline{steps}, nil
}

// pipelineCompiler makes steps of JSON. at is the place of the value in hand.
type pipelineCompiler struct {
	at    []int
	depth int
}

func (c *pipelineCompiler) errorf(format string, args ...any) error {
	return &PipelineError{slices.Clone(c.at), fmt.Errorf(format, args...)}
}

// within calls do for each item of an array, with its place.
func (c *pipelineCompiler) within(items []any, first int, do func(item any) error) error {
	for i, item := range items {
		c.at = append(c.at, first+i)
		if err := do(item); err != nil {
			return err
		}
		c.at = c.at[:len(c.at)-1]
	}
	return nil
}

func (c *pipelineCompiler) steps(v any) ([]step, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, c.errorf("want an array of steps, not %s", jsonKindOf(v))
	}
	steps := make([]step, 0, len(items))
	err := c.within(items, 0, func(item any) error {
		s, err := c.step(item)
		steps = append(steps, s)
		return err
	})
	return steps, err
}

// step takes ["function", argument…].
func (c *pipelineCompiler) step(v any) (step, error) {
	items, ok := v.([]any)
	if !ok || len(items) == 0 {
		return step{}, c.errorf(`want a step as in ["split_every", 5], not %s`, jsonKindOf(v))
	}
	name, ok := items[0].(string)
	if !ok || !slices.Contains(pipelineFunctions[:], name) {
		c.at = append(c.at, 0)
		if !ok {
			return step{}, c.errorf("want the name of a function, not %s", jsonKindOf(items[0]))
		}
		return step{}, c.errorf("unknown function %q: known are %s", name, strings.Join(pipelineFunctions[:], ", "))
	}
	if c.depth++; c.depth > maxPipelineDepth {
		return step{}, c.errorf("nested more than %d levels deep", maxPipelineDepth)
	}
	s := step{at: slices.Clone(c.at), name: name}
	var err error
	s.do, err = c.function(name, items[1:])
	c.depth--
	return s, err
}

// function compiles a call. Arguments stand after the name, so the first has index 1.
func (c *pipelineCompiler) function(name string, args []any) (do func(*pipeRun, value) (value, error), err error) {
	arity := 1
	switch name {
	case "popularity_contest", "reverse", "flatten":
		arity = 0
	case "over":
		arity = 2
	}
	if len(args) != arity {
		return nil, c.errorf("%s takes %d arguments, and has %d", name, arity, len(args))
	}
	switch name {
	case "popularity_contest":
		return popularityContest, nil
	case "reverse":
		return reverseList, nil
	case "flatten":
		return flattenAll, nil
	case "over":
		part, ok := args[0].(string)
		if !ok {
			c.at = append(c.at, 1)
			return nil, c.errorf("want the name of a part, not %s", jsonKindOf(args[0]))
		}
		err = c.within(args[1:], 2, func(arg any) error {
			f, err := c.step(arg)
			do = overPart(part, f)
			return err
		})
		return do, err
	}
	err = c.within(args, 1, func(arg any) (err error) {
		do, err = c.withOne(name, arg)
		return err
	})
	return do, err
}

// withOne compiles a function of one argument.
func (c *pipelineCompiler) withOne(name string, arg any) (func(*pipeRun, value) (value, error), error) {
	switch name {
	case "limit_layers":
		n, err := c.count(arg)
		return limitLayers(n), err
	case "split_every":
		n, err := c.count(arg)
		return splitEvery(n), err
	case "split_paths":
		specs, err := c.pathSpecs(arg)
		return splitPaths(specs), err
	case "subcomponent_in", "subcomponent_out":
		if _, ok := arg.([]any); !ok {
			return nil, c.errorf("want an array of paths, not %s", jsonKindOf(arg))
		}
		patterns, err := c.patterns(arg)
		return subcomponent(patterns, name == "subcomponent_in"), err
	case "remove_paths":
		patterns, err := c.patterns(arg)
		return removePaths(patterns), err
	case "map":
		f, err := c.step(arg)
		return mapEach(f), err
	}
	steps, err := c.steps(arg) // pipe
	return pipeThrough(steps), err
}

// count takes a whole number from 1.
func (c *pipelineCompiler) count(v any) (int, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, c.errorf("want a number, not %s", jsonKindOf(v))
	}
	f, err := n.Float64() // as in JSON Schema 5.0 and 5e1 are whole
	if err != nil || f < 1 || f != math.Trunc(f) {
		return 0, c.errorf("want a whole number of at least 1, not %s", n)
	}
	return int(min(f, math.MaxInt32)), nil
}

// patterns takes a path or an array of them.
func (c *pipelineCompiler) patterns(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		if _, err := path.Match(v, ""); err != nil || v == "" {
			return nil, c.errorf("%q is neither a path nor a glob", v)
		}
		return []string{v}, nil
	case []any:
		var all []string
		err := c.within(v, 0, func(item any) error {
			s, ok := item.(string)
			if !ok {
				return c.errorf("want a path, not %s", jsonKindOf(item))
			}
			one, err := c.patterns(s)
			all = append(all, one...)
			return err
		})
		return all, err
	}
	return nil, c.errorf("want a path or an array of them, not %s", jsonKindOf(v))
}

// pathSpecs takes the argument of split_paths.
func (c *pipelineCompiler) pathSpecs(v any) ([]pathSpec, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, c.errorf("want an array of paths, not %s", jsonKindOf(v))
	}
	var specs []pathSpec
	err := c.within(items, 0, func(item any) error {
		children := false
		switch t := item.(type) {
		case string:
		case map[string]any:
			of, ok := t["children_of"]
			if !ok || len(t) != 1 {
				return c.errorf(`want an object with "children_of" and nothing else`)
			}
			item, children = of, true
		default:
			return c.errorf(`want a path or {"children_of": …}, not %s`, jsonKindOf(item))
		}
		patterns, err := c.patterns(item)
		specs = append(specs, pathSpec{patterns, children})
		return err
	})
	return specs, err
}

func jsonKindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		if len(v) == 0 {
			return "an empty array"
		}
		return "an array"
	}
	return "an object"
}
