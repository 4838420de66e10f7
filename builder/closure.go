package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"terrine/store"
	"terrine/store/fault"
)

// Store is terrine's own store, as far as a build needs it.
type Store interface {
	// Add adds a file or directory and returns what it has become.
	Add(ctx context.Context, path string, o store.AddOptions) (*store.Info, error)
	// Hold returns the closure of roots, and keeps it from being collected for
	// as long as the store is open; its error is store.ErrNotFound if one of them
	// is not in the store.
	Hold(ctx context.Context, roots ...store.Path) ([]*store.Info, error)
	// RealDir is where the objects lie on disk.
	RealDir() string
}

// Sources are where a build finds store objects. A path is looked for in
// Closure, in the own store and on the host, in this order.
type Sources struct {
	// Closure describes objects of the host's store, as a references graph or a
	// registration does; nil if the user gave none.
	Closure *store.Closure
	// Open opens the own store. It is called at most once, and only for a path
	// that Closure does not have. nil: there is none.
	Open func(ctx context.Context) (Store, error)
	// Host asks the host's Nix for the closure of roots; its error is
	// store.ErrNotFound if one of them is not valid there. nil: there is no Nix,
	// or it is not to be asked.
	Host func(ctx context.Context, roots []store.Path) ([]*store.Info, error)
}

// A resolver finds objects and remembers them.
type resolver struct {
	sources Sources
	reached []bool // which paths of sources.Closure were found
	missing int    // how many of them were not
	own     Store
	found   map[store.Path]store.Object // what was found elsewhere
}

func newResolver(s Sources) *resolver {
	n := s.Closure.Len()
	return &resolver{sources: s, reached: make([]bool, n), missing: n, found: map[store.Path]store.Object{}}
}

// object returns an object that was found.
func (r *resolver) object(p store.Path) (store.Object, bool) {
	if i, ok := r.sources.Closure.Find(p); ok && r.reached[i] {
		return store.Object{Info: *r.sources.Closure.Info(i), Dir: string(p.Dir())}, true
	}
	object, ok := r.found[p]
	return object, ok
}

// forget makes an object one that was not found.
func (r *resolver) forget(p store.Path) {
	if i, ok := r.sources.Closure.Find(p); ok && r.reached[i] {
		r.reached[i] = false
		r.missing++
	}
	delete(r.found, p)
}

// store returns the own store, or nil.
func (r *resolver) store(ctx context.Context) (_ Store, err error) {
	if r.own == nil && r.sources.Open != nil {
		r.own, err = r.sources.Open(ctx)
	}
	return r.own, err
}

// require finds the closures of roots.
func (r *resolver) require(ctx context.Context, roots ...store.Path) error {
	var missing []store.Path
	for _, root := range roots {
		found, err := r.near(ctx, root)
		if err != nil {
			return err
		}
		if !found {
			missing = append(missing, root)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if r.sources.Host != nil {
		infos, err := r.sources.Host(ctx, missing)
		if err == nil {
			r.keep(infos, func(p store.Path) string { return string(p.Dir()) })
			return nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return r.notFound(missing[0])
}

func (r *resolver) notFound(p store.Path) error {
	err := fmt.Errorf("find %s: %w", p, store.ErrNotFound)
	if r.sources.Closure != nil {
		return fault.New(fault.Refused, fault.Hint(err, "the closure given does not have it; make one of everything that the spec names"))
	}
	return fault.New(fault.Refused, fault.Hint(err, "add it to the store with `terrine store add` or `terrine store import`, or realise it with Nix"))
}

// near finds the closure of root in what was given or in the own store.
func (r *resolver) near(ctx context.Context, root store.Path) (bool, error) {
	if _, ok := r.found[root]; ok {
		return true, nil
	}
	if i, ok := r.sources.Closure.Find(root); ok {
		r.follow(i)
		return true, nil
	}
	own, err := r.store(ctx)
	if own == nil || err != nil {
		return false, err
	}
	infos, err := own.Hold(ctx, root)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.keep(infos, func(store.Path) string { return own.RealDir() })
	return true, nil
}

// follow takes the closure of path i from what was given.
func (r *resolver) follow(i int) {
	todo := []uint32{uint32(i)}
	for len(todo) > 0 {
		i := int(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		// What was found elsewhere is there with all that it refers to.
		if _, elsewhere := r.found[r.sources.Closure.Path(i)]; !r.reached[i] && !elsewhere {
			r.reached[i] = true
			r.missing--
			todo = append(todo, r.sources.Closure.References(i)...)
		}
	}
}

func (r *resolver) keep(infos []*store.Info, dir func(store.Path) string) {
	for _, info := range infos {
		if _, ok := r.object(info.Path); !ok {
			r.found[info.Path] = store.Object{Info: *info, Dir: dir(info.Path)}
		}
	}
}

// given returns the path of the closure given that a text begins with.
func (r *resolver) given(text store.Path) (store.Path, bool) {
	digest := text[:len(text)-len(text.Name())]
	c := r.sources.Closure
	for i, _ := c.Find(digest); i < c.Len() && strings.HasPrefix(string(c.Path(i)), string(digest)); i++ {
		if strings.HasPrefix(string(text), string(c.Path(i))) {
			return c.Path(i), true
		}
	}
	return "", false
}

// mention finds the path that a text mentions, and its closure. p may be too
// long, since what follows a path in a text may look like a part of its name.
func (r *resolver) mention(ctx context.Context, p store.Path) error {
	if known, ok := r.given(p); ok {
		return r.require(ctx, known)
	}
	var first error
	for {
		err := r.require(ctx, p)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if first == nil {
			first = err
		}
		end := len(p) - 1
		if len(p.Name()) < 2 || !strings.ContainsAny(string(p[end:]), ".?=_-+") {
			return first
		}
		p = p[:end]
	}
}

// add makes a store path of a file or directory on disk.
func (r *resolver) add(ctx context.Context, path, name string) (store.Path, error) {
	own, err := r.store(ctx)
	if err != nil {
		return "", err
	}
	if own == nil {
		err := fmt.Errorf("add %s: there is no store to add to", path)
		return "", fault.New(fault.Refused, fault.Hint(err, "say where one is to be with --store or TERRINE_STORE"))
	}
	info, err := own.Add(ctx, path, store.AddOptions{Name: name})
	if err != nil {
		return "", err
	}
	return info.Path, r.require(ctx, info.Path)
}

// all returns all objects found.
func (r *resolver) all() (*objects, error) {
	given := r.sources.Closure
	if r.missing == 0 && len(r.found) == 0 && given != nil {
		o, err := objectsOf(given)
		o.dirs = []string{string(r.dir())}
		return o, err
	}
	c, err := store.NewClosure(func(yield func(*store.Info) bool) {
		for i, reached := range r.reached {
			if reached && !yield(given.Info(i)) {
				return
			}
		}
		for _, object := range r.found {
			if !yield(&object.Info) {
				return
			}
		}
	})
	if err != nil {
		return nil, refused(fmt.Errorf("read closure: %w", err))
	}
	o, err := objectsOf(c)
	if err == nil {
		o.place(r)
	}
	return o, err
}

// place says of all objects where they lie. As they have one store directory, there are
// few of those.
func (o *objects) place(r *resolver) {
	o.where = make([]uint8, o.Len())
	for i := range o.where {
		path := o.Path(i)
		dir := string(path.Dir())
		if object, ok := r.found[path]; ok {
			dir = object.Dir
		}
		at := slices.Index(o.dirs, dir)
		if at < 0 {
			at = len(o.dirs)
			o.dirs = append(o.dirs, dir)
		}
		o.where[i] = uint8(at)
	}
}
