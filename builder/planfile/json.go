package planfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/host"
)

// Bounds on plans in JSON.
const (
	maxBytes  = 256 << 20 // of 100,000 paths with a million references it has 100 MB
	maxLayers = 1000      // as in archives
)

// readJSON reads a plan. Fields that are not known are skipped: later versions
// may have more.
func readJSON(ctx context.Context, r io.Reader) (*Plan, error) {
	text, err := readText(ctx, r)
	if err != nil {
		return nil, err
	}
	var doc Document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, refused(fmt.Errorf("parse plan: %w", fault.JSON(err, text)))
	}
	if doc.Layers == nil {
		hint := "name the key that holds a references graph in a larger file: FILE#KEY"
		if joint := (struct{ Images json.RawMessage }{}); json.Unmarshal(text, &joint) == nil && joint.Images != nil {
			hint = "it is a plan of several images: plan one of them by itself"
		}
		return nil, refused(fault.Hint(errors.New(`parse plan: field "layers" is missing`), hint))
	}
	if doc.Version != version {
		return nil, refused(fmt.Errorf("parse plan: version %d, want %d", doc.Version, version))
	}
	p, err := newPlan(doc.Layers, doc.Root)
	switch {
	case err != nil:
	case len(doc.Graph) > 0:
		// Of the whole text, so that errors have its lines.
		if p.Graph, err = host.ParseGraph(bytes.NewReader(text), "graph"); err == nil {
			err = p.checkGraph()
		}
		p.References = true
	default:
		p.bare()
	}
	if err != nil {
		return nil, refused(fmt.Errorf("parse plan: %w", err))
	}
	return p, nil
}

// readText reads a plan whole.
func readText(ctx context.Context, r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case len(text) > maxBytes:
		return nil, refused(fmt.Errorf("parse plan: more than %d bytes", maxBytes))
	}
	return text, nil
}

func refused(err error) error { return fault.New(fault.Refused, err) }

// newPlan makes a plan of what a document says, but for the graph.
func newPlan(layers []DocumentLayer, root *DocumentRoot) (*Plan, error) {
	p := &Plan{Kind: JSON}
	if root != nil {
		p.RootKey = root.Key
		if err := checkKey(p.RootKey); err != nil {
			return nil, fmt.Errorf("root: %w", err)
		}
	}
	if len(layers) > maxLayers {
		return nil, fmt.Errorf("%d layers: at most %d are read", len(layers), maxLayers)
	}
	seen := map[store.Path]int{}
	for i, l := range layers {
		if err := checkKey(l.Key); err != nil {
			return nil, fmt.Errorf("layers[%d]: %w", i, err)
		}
		if l.Size < 0 || len(l.Paths) == 0 {
			return nil, fmt.Errorf("layers[%d]: %d paths of %d bytes are no layer", i, len(l.Paths), l.Size)
		}
		for k, path := range l.Paths {
			if _, err := store.ParsePath(string(path)); err != nil {
				return nil, fmt.Errorf("layers[%d].paths[%d]: %w", i, k, err)
			}
			if first, twice := seen[path]; twice {
				return nil, fmt.Errorf("layers[%d].paths[%d]: %s is in layers[%d] too", i, k, path, first)
			}
			seen[path] = i
		}
		p.Layers = append(p.Layers, Layer{Name: l.Name, Key: l.Key, Size: l.Size, Paths: l.Paths})
	}
	return p, nil
}

// bare gives a plan without a graph one of its paths alone.
func (p *Plan) bare() {
	sizes := map[store.Path]int64{}
	for _, l := range p.Layers {
		for _, path := range l.Paths {
			sizes[path] = 0
		}
	}
	p.Graph = bareGraph(sizes)
}

func checkKey(key digest.Digest) error {
	if err := key.Validate(); err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	return nil
}

// checkGraph wants the graph to know every path.
func (p *Plan) checkGraph() error {
	known := make(map[store.Path]bool, len(p.Graph))
	for _, info := range p.Graph {
		known[info.Path] = true
	}
	for i, l := range p.Layers {
		if k := slices.IndexFunc(l.Paths, func(path store.Path) bool { return !known[path] }); k >= 0 {
			return fmt.Errorf("layers[%d].paths[%d]: %s is not in graph", i, k, l.Paths[k])
		}
	}
	return nil
}
