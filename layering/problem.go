package layering

import (
	"errors"
	"fmt"
)

// newProblem checks o, and takes out of the graph what is not left to a strategy.
func newProblem(g *Graph, o *Options) (*problem, error) {
	budget, err := o.budget()
	if err != nil {
		return nil, err
	}
	if err := o.checkPipeline(); err != nil {
		return nil, err
	}
	pins, err := o.allPins()
	if err != nil {
		return nil, err
	}
	pinned, free := g.applyPins(g.without(o.Exclude), pins)
	if left := budget - len(pinned); left < 0 || left == 0 && len(free) > 0 {
		return nil, fmt.Errorf("plan layers: %d pinned layers leave no room in a budget of %d", len(pinned), budget)
	}
	return &problem{g: g, model: newModel(g, g.observe(o.Previous, o.Rates)), free: free, pinned: pinned, budget: budget, minSize: o.MinSize, chain: o.ChainWeight}, nil
}

// strategy returns what divides the paths that are free.
func (o *Options) strategy() (strategy, error) {
	if o.Pipeline != nil {
		return byPipeline(o.Pipeline), nil
	}
	divide, err := strategyByName(o.Strategy)
	if err == nil && len(o.Previous) > 0 {
		divide = keeping(o.Previous, divide)
	}
	return divide, err
}

func (o *Options) checkPipeline() error {
	switch {
	case o.Pipeline == nil:
		return nil
	case o.Strategy != "":
		return fmt.Errorf("plan layers: a pipeline leaves nothing to the strategy %s", o.Strategy)
	case o.MinSize != 0:
		return errors.New("plan layers: a pipeline leaves nothing to a minimum size")
	case len(o.Previous) > 0:
		return errors.New("plan layers: a pipeline leaves nothing to keep of a previous image")
	}
	return nil
}

// allPins returns the pins that explicit groups come down to, and then the others.
func (o *Options) allPins() ([]Pin, error) {
	var pins []Pin
	for i, globs := range o.Groups {
		if len(globs) == 0 {
			return nil, fmt.Errorf("plan layers: group %d has no globs", i+1)
		}
		for k, glob := range globs {
			pin := Pin{Glob: glob, Layer: fmt.Sprintf("group %d", i+1)}
			if err := pin.check(); err != nil {
				return nil, fmt.Errorf("plan layers: group %d: glob %d: %w", i+1, k+1, err)
			}
			pins = append(pins, pin)
		}
	}
	for i, pin := range o.Pins {
		if err := pin.check(); err != nil {
			return nil, fmt.Errorf("plan layers: pin %d: %w", i+1, err)
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

// without returns the numbers of all paths but the given ones.
func (g *Graph) without(excluded []string) []int32 {
	gone := make(map[string]bool, len(excluded))
	for _, p := range excluded {
		gone[p] = true
	}
	left := make([]int32, 0, g.Len())
	for i, p := range g.paths {
		if !gone[p] {
			left = append(left, int32(i))
		}
	}
	return left
}
