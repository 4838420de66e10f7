package builder

import (
	"context"
	"fmt"

	"terrine/builder/planfile"
	"terrine/layering"
	"terrine/store"
)

// Learned says of one file what Learn took it for.
type Learned struct {
	File string // its name
	// References tells whether it is known to what they refer. If not, paths with
	// another hash and the same version were carried along.
	References bool
}

// Learn estimates how often packages are updated from images of one project in
// order of time, oldest first: archives, plans in JSON, and references graphs,
// as planfile.Open takes them. An archive's references are what its files
// mention: for these it is read, and given to watch, a second time. Errors name
// the file; fewer than two files, and two in succession without a package in common,
// have the class fault.Refused.
func Learn(ctx context.Context, files []string, watch planfile.Watch) (*layering.Rates, []Learned, error) {
	var graphs []*layering.Graph
	var learned []Learned
	for _, file := range files {
		graph, l, err := learnFrom(ctx, file, watch)
		if err != nil {
			return nil, nil, fmt.Errorf("learn: %w", err)
		}
		graphs, learned = append(graphs, graph), append(learned, *l)
	}
	rates, err := layering.Learn(graphs)
	if err != nil {
		return nil, nil, refused(err)
	}
	return rates, learned, nil
}

func learnFrom(ctx context.Context, file string, watch planfile.Watch) (*layering.Graph, *Learned, error) {
	p, err := planfile.Open(ctx, file, watch)
	if err != nil {
		return nil, nil, err
	}
	if len(p.Graph) == 0 {
		return nil, nil, refused(fmt.Errorf("read %s: no store paths in it", file))
	}
	if p.Kind == planfile.Archive {
		if err := p.FindReferences(ctx, file, watch); err != nil {
			return nil, nil, err
		}
	}
	l := &Learned{File: file, References: p.References}
	nodes := nodesOf(p.Graph)
	if p.References {
		graph, err := layering.NewGraph(nodes)
		switch {
		case err == nil:
			return graph, l, nil
		case p.Kind != planfile.Archive:
			return nil, nil, refused(fmt.Errorf("read %s: %w", file, err))
		}
		l.References = false // what files mention may go in circles
	}
	graph, err := layering.NewListing(nodes)
	if err != nil {
		err = refused(fmt.Errorf("read %s: %w", file, err))
	}
	return graph, l, err
}

func nodesOf(graph []*store.Info) []layering.Node {
	nodes := make([]layering.Node, len(graph))
	for i, info := range graph {
		nodes[i] = layering.Node{Path: string(info.Path), Size: info.NARSize}
		for _, ref := range info.References {
			nodes[i].References = append(nodes[i].References, string(ref))
		}
	}
	return nodes
}
