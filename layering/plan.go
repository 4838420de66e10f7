// Package layering divides a closure into the layers of an image.
//
// A plan is a partition of a [Graph] into at most Options.MaxLayers groups.
// It depends on its arguments alone: no file is read, no clock asked, no map
// walked in its own order, and the order in which paths were given does not
// matter. Strategies:
//
//   - update-cost, the default, makes small what a host is expected to pull
//     again after an update (see docs/layering.md);
//   - popularity is what nixpkgs' dockerTools did from 2018 to 2024;
//   - size-first is what it does since.
//
// The package knows nothing of stores and images: paths are strings.
package layering

import (
	"context"
	"fmt"
	"slices"
)

// Names of strategies, for Options.Strategy.
const (
	UpdateCost = "update-cost"
	Popularity = "popularity"
	SizeFirst  = "size-first"
)

// Revision is another number whenever Plan divides any graph otherwise than
// before. Who keeps plans keeps it with them.
const Revision = 8

// DefaultMaxLayers is the budget when Options.MaxLayers is 0.
const DefaultMaxLayers = 100

// DefaultChainWeight is the weight of the chain when Options.ChainWeight is 0.
// Most hosts pull layers by themselves; those that keep chains unpack again
// what they did not have to fetch, which costs about an eighth of fetching it.
const DefaultChainWeight = 0.125

// MaxChainWeight is the most that Options.ChainWeight can be: the chain is all then.
const MaxChainWeight = 1000

// Options say how to divide. The zero value is update-cost with 100 layers.
type Options struct {
	// Strategy is the name of a strategy; empty means update-cost.
	Strategy string
	// MaxLayers is how many groups there may be; 0 means DefaultMaxLayers.
	// Layers that are not made of the graph (a base image's, the root layer)
	// have to be subtracted by the caller.
	MaxLayers int
	// MinSize is the size in bytes below which a group is joined to another,
	// pinned ones excepted.
	MinSize int64
	// Exclude are paths that the image has already, such as those of its base:
	// they are in no group. Ones that are not in the graph say nothing.
	Exclude []string
	// Groups are layers that are given by what is in them: the first holds all
	// paths that match one of the first globs (as those of a Pin), and so on. They
	// come before Pins, and are named "group 1", ….
	Groups [][]string
	// Pins take paths out of the strategy's hands.
	Pins []Pin
	// Pipeline divides in the stead of a strategy; nil for none. Paths that its
	// remove_paths takes away are in no group. It leaves nothing to Strategy,
	// MinSize and Previous, which have to be unset.
	Pipeline *Pipeline
	// Previous are the layers of the image before, each the paths that it held.
	// Those that can be kept, are kept where that costs less: see docs/layering.md.
	Previous [][]string
	// Rates say how often packages are updated; nil means all alike.
	Rates *Rates
	// ChainWeight is what a byte of the chain counts against one of the pull
	// where update-cost cannot have both small (see docs/layering.md); 0 means
	// DefaultChainWeight, and MaxChainWeight is the most.
	ChainWeight float64
}

// Group is what one layer holds.
type Group struct {
	// Paths are the store paths, by name and then hash. Never empty.
	Paths []string
	// Size is the sum of their sizes, in bytes.
	Size int64
	// Name is that of the pin that made the group, or "group N" for the Nth of
	// Options.Groups, else empty.
	Name string
}

// Strategies returns the names that Options.Strategy takes, the default first.
func Strategies() []string { return []string{UpdateCost, SizeFirst, Popularity} }

// Plan divides g. Groups come in the order of an image's layers, bottom
// first. Each path is in exactly one group, but those that Options leave out,
// and no group is empty; a graph without paths has a plan without groups. An
// unknown strategy, a budget below one and a malformed pin are errors, as is a
// budget that groups and pins use up. An error of a pipeline is a [*PipelineError].
func Plan(ctx context.Context, g *Graph, o Options) ([]Group, error) {
	p, err := newProblem(g, &o)
	if err != nil {
		return nil, err
	}
	divide, err := o.strategy()
	if err != nil {
		return nil, err
	}
	parts, err := divide(ctx, p)
	if err != nil {
		return nil, err
	}
	return g.groups(parts), nil
}

func (o *Options) budget() (int, error) {
	switch {
	case o.MinSize < 0:
		return 0, fmt.Errorf("plan layers: a minimum size of %d bytes", o.MinSize)
	case !(o.ChainWeight >= 0 && o.ChainWeight <= MaxChainWeight): // NaN is neither
		return 0, fmt.Errorf("plan layers: a chain weight of %v", o.ChainWeight)
	case o.MaxLayers < 0:
		return 0, fmt.Errorf("plan layers: a budget of %d layers", o.MaxLayers)
	case o.MaxLayers == 0:
		return DefaultMaxLayers, nil
	}
	return o.MaxLayers, nil
}

// part is a group under way: members are indices into the graph.
type part struct {
	name    string
	members []int32
}

// problem is what a strategy has to solve.
type problem struct {
	g       *Graph
	model   *model
	free    []int32 // the paths to divide, ascending; with the pinned not always all
	pinned  []part  // what has its layers already
	budget  int     // layers in all, the pinned among them
	minSize int64
	chain   float64 // Options.ChainWeight
}

// strategy returns the pinned parts and at most budget − len(pinned) others
// that hold the free paths, in the order of an image's layers.
type strategy func(ctx context.Context, p *problem) ([]part, error)

func strategyByName(name string) (strategy, error) {
	switch name {
	case "", UpdateCost:
		return updateCost, nil
	case SizeFirst:
		return onFreePaths(sizeFirst), nil
	case Popularity:
		return onFreePaths(popularity), nil
	}
	return nil, fmt.Errorf("plan layers: no strategy %q (there are %q)", name, Strategies())
}

// groups turns parts into what callers see.
func (g *Graph) groups(parts []part) []Group {
	groups := make([]Group, len(parts))
	for i, p := range parts {
		slices.Sort(p.members)
		group := Group{Name: p.name, Paths: make([]string, len(p.members))}
		for k, m := range p.members {
			group.Paths[k] = g.paths[m]
			group.Size += g.sizes[m]
		}
		groups[i] = group
	}
	return groups
}
