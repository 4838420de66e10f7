package builder

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	Closure []*store.Info
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
	given   map[store.Path]*store.Info
	digests map[string]store.Path // of given, by digest
	own     Store
	objects map[store.Path]store.Object
}

func newResolver(s Sources) *resolver {
	r := &resolver{
		sources: s,
		given:   make(map[store.Path]*store.Info, len(s.Closure)),
		digests: make(map[string]store.Path, len(s.Closure)),
		objects: make(map[store.Path]store.Object, len(s.Closure)),
	}
	for _, info := range s.Closure {
		r.given[info.Path] = info
		r.digests[info.Path.Digest()] = info.Path
	}
	return r
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
	if _, ok := r.objects[root]; ok {
		return true, nil
	}
	if _, ok := r.given[root]; ok {
		return true, r.follow(root)
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

// follow takes the closure of root from what was given.
func (r *resolver) follow(root store.Path) error {
	todo := []store.Path{root}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, ok := r.objects[p]; ok {
			continue
		}
		info, ok := r.given[p]
		if !ok {
			return r.notFound(p)
		}
		r.objects[p] = store.Object{Info: *info, Dir: string(p.Dir())}
		todo = append(todo, info.References...)
	}
	return nil
}

func (r *resolver) keep(infos []*store.Info, dir func(store.Path) string) {
	for _, info := range infos {
		if _, ok := r.objects[info.Path]; !ok {
			r.objects[info.Path] = store.Object{Info: *info, Dir: dir(info.Path)}
		}
	}
}

// mention finds the path that a text mentions, and its closure. p may be too
// long, since what follows a path in a text may look like a part of its name.
func (r *resolver) mention(ctx context.Context, p store.Path) error {
	if known, ok := r.digests[p.Digest()]; ok && strings.HasPrefix(string(p), string(known)) {
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

// sorted returns all objects found, by path.
func (r *resolver) sorted() []store.Object {
	all := make([]store.Object, 0, len(r.objects))
	for _, path := range slices.Sorted(maps.Keys(r.objects)) {
		all = append(all, r.objects[path])
	}
	return all
}
