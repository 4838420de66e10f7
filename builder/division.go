package builder

import (
	"fmt"

	"terrine/layering"
	"terrine/store"
	"terrine/store/fault"
)

// A Division says which store paths are in which layer, bottom first.
type Division [][]store.Path

// Base is what a plan has to know of the image that another is to stand on.
type Base struct {
	// Layers is how many it has.
	Layers int
	// Paths are the store paths in them.
	Paths []store.Path
}

// Adapt changes what is asked of layers to what o says of an image before and of
// one to stand on. NewPlan does it by itself; it is for PlanGraph. An error has
// the class fault.Refused.
func (o *Options) Adapt(l *layering.Options) error {
	for _, paths := range o.Previous {
		l.Previous = append(l.Previous, texts(paths))
	}
	l.Exclude = texts(o.Base.Paths)
	if l.MaxLayers -= o.Base.Layers; l.MaxLayers < 1 {
		return refused(fmt.Errorf("plan layers: %d layers of the base image leave no room in maxLayers", o.Base.Layers))
	}
	return nil
}

// texts is for what knows nothing of store paths. It is nil for none.
func texts(paths []store.Path) []string {
	var out []string
	for _, p := range paths {
		out = append(out, string(p))
	}
	return out
}

// choose returns the one of divisions that holds just objects.
func choose(divisions []Division, c *store.Closure, most int) ([]layering.Group, error) {
	wanted := make(map[store.Path]bool, c.Len())
	for i := range c.Len() {
		wanted[c.Path(i)] = true
	}
	var why error
	for _, d := range divisions {
		groups, err := d.groups(wanted)
		switch {
		case err != nil:
			why = err
			continue
		case len(groups) > most:
			return nil, refused(fmt.Errorf("take layers of a plan: it has %d, and at most %d are allowed", len(groups), most))
		}
		return groups, nil
	}
	if len(divisions) > 1 {
		why = fmt.Errorf("none of its %d images has just the paths of this one", len(divisions))
	}
	return nil, refused(fault.Hint(fmt.Errorf("take layers of a plan: %w", why), "make the plan anew, with `terrine plan … --json`, whenever a path changes"))
}

// groups returns d as groups of the wanted paths: all of them and no others.
func (d Division) groups(wanted map[store.Path]bool) ([]layering.Group, error) {
	seen := make(map[store.Path]bool, len(wanted))
	groups := make([]layering.Group, len(d))
	for i, paths := range d {
		for _, p := range paths {
			switch {
			case !wanted[p]:
				return nil, fmt.Errorf("it has %s, which the image has not", p)
			case seen[p]:
				return nil, fmt.Errorf("it has %s twice", p)
			}
			seen[p] = true
			groups[i].Paths = append(groups[i].Paths, string(p))
		}
	}
	if len(seen) == len(wanted) {
		return groups, nil
	}
	first := store.Path("")
	for p := range wanted {
		if !seen[p] && (first == "" || p < first) {
			first = p
		}
	}
	return nil, fmt.Errorf("it lacks %d paths of the image, such as %s", len(wanted)-len(seen), first)
}
