package builder

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/rootfs"
	"terrine/layering"
	"terrine/store"
)

// Values of Options.Verify.
const (
	// VerifyNone trusts the store: no file's size and time are looked at.
	VerifyNone = "none"
	// VerifyMeta fails for a file whose size is not the one that was recorded, or
	// that changes while it is read.
	VerifyMeta = "meta"
	// VerifyFull also compares every store path with its NAR hash, in the same
	// reading, and fails for one that is damaged before anything is published. It
	// takes nothing from the memo, and remembers what it has worked out.
	VerifyFull = "full"
)

// Options are what a build has from its surroundings. The zero value plans and
// packs on one worker, with no store.
type Options struct {
	Sources Sources
	// Memo knows what earlier builds worked out; nil for none.
	Memo *Memo
	// Workers is how many goroutines scan, read and compress; 0 is 1. It has no
	// influence on the result.
	Workers int
	// ContentDedup makes hardlinks of equal files within a store object.
	ContentDedup bool
	// Verify says how store paths are checked while they are read; empty is
	// VerifyMeta.
	Verify string
	// Progress is told how the build goes on; nil for nobody.
	Progress Progress
	// Timing is told how long what takes, from NewPlan on; nil for nobody.
	Timing *Timing
	// Previous are the layers of the image before, which are kept where that costs
	// hosts less than other layers would. nil for none.
	Previous Division
	// Base is an image to stand on. That is for plans alone: nothing is built on
	// another image yet.
	Base Base
	// Divisions are the layers of several images, to be taken instead of planning
	// any: those of the one that has just the store paths of this image. nil for
	// none.
	Divisions []Division
	// SourceDateEpoch is the value of SOURCE_DATE_EPOCH; empty if it is not set.
	SourceDateEpoch string
	// Now is the clock, for a spec that asks for it; nil is the system's.
	Now func() time.Time
}

// A Plan says which store objects go into which layer, and what the root layer
// is made of. No file of a store object is opened to make it.
type Plan struct {
	// Layers are those of store objects, bottom first. The root layer comes on
	// top of them and is not among them.
	Layers []PlannedLayer
	// RootKey is the key of the root layer: everything that its bytes depend on.
	RootKey digest.Digest

	spec     *Spec
	policy   layer.Policy
	layering layering.Options
	objects  []store.Object // the closure, by path
	given    bool           // whether the layers are of Options.Divisions
	created  time.Time
	root     rootfs.Options
	onDisk   []string // hashes of what root takes from outside the store
	timing   *Timing
}

// A PlannedLayer is a group of store objects that will be one layer.
type PlannedLayer struct {
	Key     digest.Digest // as layer.Key has it
	Name    string        // of the pin that made the group; empty if none did
	Size    int64         // sum of the objects' NAR sizes, in bytes
	Objects []store.Object
}

// Closure returns all objects that the image needs, those in layers among them,
// sorted by path.
func (p *Plan) Closure() []*store.Info { return infosOf(p.objects) }

// Paths returns the store paths of the layer, in their order in it.
func (l *PlannedLayer) Paths() []store.Path {
	paths := make([]store.Path, len(l.Objects))
	for i := range l.Objects {
		paths[i] = l.Objects[i].Path
	}
	return paths
}

// NewPlan finds the closure that spec asks for, adds to the store what it has
// outside of it, and divides the closure into layers. spec is kept and must not
// change afterwards.
func NewPlan(ctx context.Context, spec *Spec, o Options) (*Plan, error) {
	p := &Plan{spec: spec, policy: layer.Policy{Owner: spec.owner(o.now()), ContentDedup: o.ContentDedup}, timing: o.Timing}
	if err := p.policy.Owner.Check(); err != nil {
		return nil, err
	}
	var err error
	if p.created, err = spec.createdAt(o.SourceDateEpoch, o.now()); err != nil {
		return nil, err
	}
	p.timing.Begin(PhaseClosure)
	r := newResolver(o.Sources)
	if p.root, err = spec.rootOptions(ctx, r); err != nil {
		return nil, err
	}
	objects := r.sorted()
	p.objects, p.root.Find = objects, finder(objects)
	if err := oneStoreDir(objects); err != nil {
		return nil, err
	}
	p.timing.add(narBytes(objects))
	p.timing.Begin(PhasePlan)
	if err := spec.addNixFiles(&p.root, objects); err != nil {
		return nil, err
	}
	if p.onDisk, err = hashOnDisk(ctx, &p.root); err != nil {
		return nil, err
	}
	if p.RootKey, err = rootKey(&p.root, objects, p.onDisk, p.policy.Owner.Mtime); err != nil {
		return nil, err
	}
	if !spec.IncludeStorePaths {
		return p, nil
	}
	if p.layering, err = spec.layeringOptions(ctx); err != nil {
		return nil, err
	}
	if err = o.Adapt(&p.layering); err != nil {
		return nil, err
	}
	if p.Layers, err = p.divide(ctx, &o); err != nil {
		return nil, err
	}
	return p, p.checkDatabase()
}

func narBytes(objects []store.Object) (n int64) {
	for i := range objects {
		n += objects[i].NARSize
	}
	return n
}

// finder returns a function that looks a path up in objects, which are sorted by
// path.
func finder(objects []store.Object) func(store.Path) (store.Object, bool) {
	return func(path store.Path) (store.Object, bool) {
		i, ok := slices.BinarySearchFunc(objects, path, func(o store.Object, p store.Path) int { return cmp.Compare(o.Path, p) })
		if !ok {
			return store.Object{}, false
		}
		return objects[i], true
	}
}

// divide makes layers of the plan's objects.
func (p *Plan) divide(ctx context.Context, o *Options) ([]PlannedLayer, error) {
	if p.given = len(o.Divisions) > 0; !p.given {
		return o.Memo.divide(ctx, p.objects, p.policy, p.layering)
	}
	groups, err := choose(o.Divisions, p.objects, p.layering.MaxLayers)
	if err != nil {
		return nil, err
	}
	return plannedLayers(p.objects, p.policy, groups), nil
}

// divide has the strategy group objects.
func divide(ctx context.Context, objects []store.Object, policy layer.Policy, o layering.Options) ([]PlannedLayer, error) {
	graph, err := newGraph(objects)
	if err != nil {
		return nil, err
	}
	groups, err := layering.Plan(ctx, graph, o)
	if err != nil {
		return nil, refused(err)
	}
	return plannedLayers(objects, policy, groups), nil
}

// plannedLayers makes layers of groups of the paths of objects, which are sorted by
// path.
func plannedLayers(objects []store.Object, policy layer.Policy, groups []layering.Group) []PlannedLayer {
	find := finder(objects)
	layers := make([]PlannedLayer, len(groups))
	for i, g := range groups {
		members := make([]store.Object, len(g.Paths))
		for k, path := range g.Paths {
			members[k], _ = find(store.Path(path))
		}
		layers[i] = plannedLayer(g.Name, members, policy)
	}
	return layers
}

func plannedLayer(name string, objects []store.Object, policy layer.Policy) PlannedLayer {
	return PlannedLayer{Key: layer.Key(policy, objects), Name: name, Size: narBytes(objects), Objects: objects}
}

func newGraph(objects []store.Object) (*layering.Graph, error) {
	graph, err := layering.NewGraph(nodesOf(infosOf(objects)))
	if err != nil {
		return nil, refused(fmt.Errorf("read closure: %w", err))
	}
	return graph, nil
}

// oneStoreDir refuses a closure of two stores: an image has one store directory.
func oneStoreDir(objects []store.Object) error {
	for _, o := range objects {
		if first := objects[0].Path; o.Path.Dir() != first.Dir() {
			return refused(fmt.Errorf("read closure: %s and %s are of different store directories", first, o.Path))
		}
	}
	return nil
}

func (s *Spec) owner(now func() time.Time) layer.Owner {
	return layer.Owner{UID: s.UID, GID: s.GID, Uname: s.Uname, Gname: s.Gname, Mtime: s.MTime.resolve(now).Unix()}
}

func (o *Options) now() func() time.Time {
	if o.Now == nil {
		return time.Now
	}
	return o.Now
}

// architecture returns what the image is for: the machine, if the spec does not
// say.
func (s *Spec) architecture() string {
	if s.Platform.Architecture == "" {
		return runtime.GOARCH
	}
	return s.Platform.Architecture
}
