package builder

import (
	"context"
	"fmt"

	"terrine/layering"
	"terrine/store"
)

// objects are all store objects of an image, sorted by path, of one store directory.
// They implement store.Objects.
type objects struct {
	*store.Closure
	dirs  []string // where they lie on disk; empty if they lie nowhere
	where []uint8  // in which of dirs each lies; nil if there is one
}

// objectsOf are objects that have no place on disk.
func objectsOf(c *store.Closure) (*objects, error) { return &objects{Closure: c}, oneStoreDir(c) }

// At implements store.Objects.
func (o *objects) At(i int) store.Object {
	object := store.Object{Info: *o.Info(i)}
	switch {
	case o.where != nil:
		object.Dir = o.dirs[o.where[i]]
	case len(o.dirs) > 0:
		object.Dir = o.dirs[0]
	}
	return object
}

// find looks a path up.
func (o *objects) find(path store.Path) (store.Object, bool) {
	i, ok := o.Find(path)
	if !ok {
		return store.Object{}, false
	}
	return o.At(i), true
}

// some are those of store objects that have the indices of, in that order. They
// implement store.Objects.
type some struct {
	all store.Objects
	of  []uint32
}

// Len implements store.Objects.
func (s some) Len() int { return len(s.of) }

// Path implements store.Objects.
func (s some) Path(i int) store.Path { return s.all.Path(int(s.of[i])) }

// At implements store.Objects.
func (s some) At(i int) store.Object { return s.all.At(int(s.of[i])) }

// oneStoreDir refuses a closure of two stores: an image has one store directory.
func oneStoreDir(c *store.Closure) error {
	for i := range c.Len() {
		if first, path := c.Path(0), c.Path(i); path.Dir() != first.Dir() {
			return refused(fmt.Errorf("read closure: %s and %s are of different store directories", first, path))
		}
	}
	return nil
}

func narBytes(c *store.Closure) (n int64) {
	for i := range c.Len() {
		n += c.NARSize(i)
	}
	return n
}

// nodes are the paths of a closure as package layering takes them.
type nodes struct{ *store.Closure }

// Node implements layering.Closure.
func (n nodes) Node(i int) (string, int64) { return string(n.Path(i)), n.NARSize(i) }

func newGraph(c *store.Closure) (*layering.Graph, error) {
	graph, err := layering.GraphOf(nodes{c})
	if err != nil {
		return nil, refused(fmt.Errorf("read closure: %w", err))
	}
	return graph, nil
}

// divide has the strategy group objects.
func divide(ctx context.Context, c *store.Closure, o layering.Options) ([]layering.Group, error) {
	graph, err := newGraph(c)
	if err != nil {
		return nil, err
	}
	groups, err := layering.Plan(ctx, graph, o)
	if err != nil {
		return nil, refused(err)
	}
	return groups, nil
}
