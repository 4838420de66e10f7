package deb

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"terrine/store"
	"terrine/store/fault"
)

// Group is packages that become one store path: one, or several that depend on
// one another.
type Group struct {
	Packages []*Package // sorted by name
	Depends  []*Group   // in the order in which Set has the groups
}

// Missing is a dependency that none of the packages meets.
type Missing struct {
	Package *Package
	Clause  Clause
}

// String says who needs what.
func (m Missing) String() string { return m.Package.Name + " needs " + m.Clause.String() }

// resolve finds for every dependency a package that meets it, and joins circles.
// The groups come after those that they depend on, in an order that does not
// depend on that of the packages.
//
// The first alternative for which there is a package is taken; a package of the
// name itself before those that provide it, and of those the first by name.
// Two packages of one name, and packages for different architectures, are of
// class fault.Refused. What is missing is no error here.
func resolve(packages []*Package) ([]*Group, []Missing, error) {
	r := &resolver{byName: make(map[string]*Package), providers: make(map[string][]provider), number: make(map[*Package]int)}
	r.all = slices.SortedFunc(slices.Values(packages), func(a, b *Package) int { return cmp.Compare(a.Name, b.Name) })
	if err := r.index(); err != nil {
		return nil, nil, err
	}
	missing := r.follow()
	return r.groups(), missing, nil
}

type provider struct {
	p       *Package
	version string // that it provides the name as; empty for none
}

type resolver struct {
	all       []*Package // sorted by name
	number    map[*Package]int
	byName    map[string]*Package
	providers map[string][]provider
	edges     [][]int // what each package depends on
}

func (r *resolver) index() error {
	native := ""
	for i, p := range r.all {
		r.number[p] = i
		if other := r.byName[p.Name]; other != nil {
			return fault.New(fault.Refused, fmt.Errorf("package %s is there twice: version %s and version %s", p.Name, other.Version, p.Version))
		}
		r.byName[p.Name] = p
		if p.Architecture != "all" {
			if native == "" {
				native = p.Architecture
			}
			if p.Architecture != native {
				return fault.New(fault.Refused, fmt.Errorf("package %s is for %s, and others are for %s", p.Name, p.Architecture, native))
			}
		}
		for _, name := range p.Provides {
			r.providers[name.Name] = append(r.providers[name.Name], provider{p, name.Version})
		}
	}
	return nil
}

// follow finds what each package depends on.
func (r *resolver) follow() []Missing {
	var missing []Missing
	r.edges = make([][]int, len(r.all))
	for i, p := range r.all {
		for _, c := range p.Depends {
			q := r.meet(p, c)
			if q == nil {
				missing = append(missing, Missing{p, c})
			} else if q != p {
				r.edges[i] = append(r.edges[i], r.number[q])
			}
		}
		slices.Sort(r.edges[i])
		r.edges[i] = slices.Compact(r.edges[i])
	}
	return missing
}

// meet returns a package that meets a clause, p itself if it does, or nil.
func (r *resolver) meet(p *Package, c Clause) *Package {
	for _, relation := range c {
		if q := r.find(p, relation); q != nil {
			return q
		}
	}
	return nil
}

func (r *resolver) find(p *Package, want Relation) *Package {
	if q := r.byName[want.Name]; q != nil && want.met(q.Version) && archMet(q, want.Arch) {
		return q
	}
	var found *Package
	for _, v := range r.providers[want.Name] {
		// A bound of the version is met by a version only.
		if want.Op != "" && (v.version == "" || !want.met(v.version)) || !archMet(v.p, want.Arch) {
			continue
		}
		if v.p == p {
			return p
		}
		if found == nil {
			found = v.p
		}
	}
	return found
}

// archMet reports whether a package is of the architecture that a relation asks
// for. There is only one among the packages.
func archMet(p *Package, arch string) bool {
	return arch == "" || arch == "any" || arch == "native" || arch == p.Architecture
}

// groups finds the strongly connected components, by Tarjan's algorithm, which
// yields each after those that it depends on.
func (r *resolver) groups() []*Group {
	t := &tarjan{r: r, index: make([]int, len(r.all)), low: make([]int, len(r.all)), of: make([]*Group, len(r.all))}
	for i := range r.all {
		if t.index[i] == 0 {
			t.visit(i)
		}
	}
	place := make(map[*Group]int, len(t.found))
	for i, g := range t.found {
		place[g] = i
	}
	for i, g := range t.of {
		for _, j := range r.edges[i] {
			if t.of[j] != g {
				g.Depends = append(g.Depends, t.of[j])
			}
		}
	}
	for _, g := range t.found {
		slices.SortFunc(g.Depends, func(a, b *Group) int { return cmp.Compare(place[a], place[b]) })
		g.Depends = slices.Compact(g.Depends)
	}
	return t.found
}

type tarjan struct {
	r          *resolver
	index, low []int    // index 0: not visited
	of         []*Group // nil: not done
	stack      []int
	next       int
	found      []*Group
}

func (t *tarjan) visit(i int) {
	t.next++
	t.index[i], t.low[i] = t.next, t.next
	t.stack = append(t.stack, i)
	for _, j := range t.r.edges[i] {
		switch {
		case t.index[j] == 0:
			t.visit(j)
			t.low[i] = min(t.low[i], t.low[j])
		case t.of[j] == nil:
			t.low[i] = min(t.low[i], t.index[j])
		}
	}
	if t.low[i] != t.index[i] {
		return
	}
	at := slices.Index(t.stack, i)
	g := &Group{}
	members := slices.Sorted(slices.Values(t.stack[at:]))
	t.stack = t.stack[:at]
	for _, j := range members {
		t.of[j] = g
		g.Packages = append(g.Packages, t.r.all[j])
	}
	t.found = append(t.found, g)
}

// Name returns what the store path of a group is called after its digest: name
// and version of the package, or of all.
func (g *Group) Name() string {
	parts := make([]string, len(g.Packages))
	for i, p := range g.Packages {
		parts[i] = p.storeName()
	}
	name := strings.Join(parts, "-and-")
	if store.CheckName(name) == nil {
		return name
	}
	return fmt.Sprintf("%.150s-and-%d-more", parts[0], len(parts)-1)
}

// storeName returns name and version, with what no store path holds replaced.
func (p *Package) storeName() string {
	return p.Name + "-" + strings.NewReplacer(":", "_", "~", "_").Replace(p.Version)
}

// MissingError is the error for dependencies that are missing: one for all.
func MissingError(missing []Missing) error {
	if len(missing) == 0 {
		return nil
	}
	texts := make([]string, len(missing))
	for i, m := range missing {
		texts[i] = m.String()
	}
	return fault.New(fault.Refused, errors.New("resolve dependencies: not among the packages: "+strings.Join(texts, "; ")))
}
