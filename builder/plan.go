package builder

import (
	"context"
	"runtime"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/memo"
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
	objects  *objects // the closure
	given    bool     // whether the layers are of Options.Divisions
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
	Objects store.Objects
}

// Closure returns all objects that the image needs, those in layers among them.
func (p *Plan) Closure() *store.Closure { return p.objects.Closure }

// Paths returns the store paths of the layer, in their order in it.
func (l *PlannedLayer) Paths() []store.Path {
	paths := make([]store.Path, l.Objects.Len())
	for i := range paths {
		paths[i] = l.Objects.Path(i)
	}
	return paths
}

// members returns the indices of the layer's objects in the closure.
func (l *PlannedLayer) members() []uint32 { return l.Objects.(some).of }

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
	if p.objects, err = r.all(); err != nil {
		return nil, err
	}
	p.root.Find = p.objects.find
	p.timing.add(narBytes(p.objects.Closure))
	p.timing.Begin(PhasePlan)
	if err := spec.addNixFiles(&p.root, p.objects.Closure); err != nil {
		return nil, err
	}
	if p.onDisk, err = hashOnDisk(ctx, &p.root); err != nil {
		return nil, err
	}
	if p.RootKey, err = rootKey(&p.root, p.objects.Closure, p.onDisk, p.policy.Owner.Mtime); err != nil {
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

// divide makes layers of the plan's objects.
func (p *Plan) divide(ctx context.Context, o *Options) ([]PlannedLayer, error) {
	if p.given = len(o.Divisions) > 0; !p.given {
		groups, err := o.Memo.divide(ctx, p.objects.Closure, p.layering)
		return layersOf(p.objects, p.policy, groups), err
	}
	groups, err := choose(o.Divisions, p.objects.Closure, p.layering.MaxLayers)
	return plannedLayers(p.objects, p.policy, groups), err
}

// plannedLayers makes layers of groups of the paths of objects.
func plannedLayers(objects *objects, policy layer.Policy, groups []layering.Group) []PlannedLayer {
	return layersOf(objects, policy, numbered(objects.Closure, groups))
}

// layersOf makes layers of groups of the indices of objects.
func layersOf(objects *objects, policy layer.Policy, groups []memo.Group) []PlannedLayer {
	layers := make([]PlannedLayer, len(groups))
	for k, g := range groups {
		members := some{all: objects, of: g.Members}
		layers[k] = PlannedLayer{Key: layer.Key(policy, members), Name: g.Name, Objects: members}
		for _, i := range g.Members {
			layers[k].Size += objects.NARSize(int(i))
		}
	}
	return layers
}

// numbered returns groups by the indices of their paths in c.
func numbered(c *store.Closure, groups []layering.Group) []memo.Group {
	out := make([]memo.Group, len(groups))
	for k, g := range groups {
		out[k] = memo.Group{Name: g.Name, Members: make([]uint32, len(g.Paths))}
		for n, path := range g.Paths {
			i, _ := c.Find(store.Path(path))
			out[k].Members[n] = uint32(i)
		}
	}
	return out
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
