package layering

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
)

// MaxJointImages is how many images can have one plan: as many as a word has bits.
const MaxJointImages = 64

// Joint is an image of a joint plan.
type Joint struct {
	Graph *Graph
	// MaxLayers is as in Options.
	MaxLayers int
}

// PlanJoint divides the closures of several images so that they share layers:
// what is stored for all of them, and pulled again after updates, is as little as
// the model of update-cost makes it. It returns the groups of each image, bottom
// first, each of its paths in exactly one of them. Groups of two images are the
// same set of paths, or two layers. Those that most images share are at the
// bottom, in one order in all of them. A path that is not the same in two
// closures is an error.
func PlanJoint(ctx context.Context, images []Joint, rates *Rates) ([][]Group, error) {
	if len(images) == 0 || len(images) > MaxJointImages {
		return nil, fmt.Errorf("plan layers: %d images: from 1 to %d can have one plan", len(images), MaxJointImages)
	}
	j := &joint{budgets: make([]int, len(images))}
	for i, image := range images {
		o := Options{MaxLayers: image.MaxLayers}
		var err error
		if j.budgets[i], err = o.budget(); err != nil {
			return nil, err
		}
	}
	if err := j.unite(images); err != nil {
		return nil, err
	}
	j.model = newModel(j.g, rates)
	sets, err := j.bySignature(ctx)
	if err != nil {
		return nil, err
	}
	layers, err := j.fit(ctx, sets)
	if err != nil {
		return nil, err
	}
	if layers, err = j.again(ctx, layers); err != nil {
		return nil, err
	}
	return j.perImage(layers), nil
}

// joint is the problem: the union of the closures, and who has what.
type joint struct {
	g       *Graph
	model   *model
	budgets []int
	users   []uint64 // of each path: the images that have it
}

// sharedLayer is a layer of some images.
type sharedLayer struct {
	users uint64
	paths []int32
}

// unite makes one graph of all.
func (j *joint) unite(images []Joint) error {
	var nodes []Node
	at := make(map[string]int)
	var users []uint64
	for i, image := range images {
		g := image.Graph
		for p, path := range g.paths {
			n, known := at[path]
			if !known {
				n = len(nodes)
				at[path] = n
				nodes = append(nodes, g.node(int32(p)))
				users = append(users, 0)
			} else if other := g.node(int32(p)); nodes[n].Size != other.Size || !slices.Equal(nodes[n].References, other.References) {
				return fmt.Errorf("plan layers: %s is not the same in image %d and in one before it", path, i+1)
			}
			users[n] |= 1 << i
		}
	}
	var err error
	if j.g, err = NewGraph(nodes); err != nil {
		return err
	}
	j.users = make([]uint64, j.g.Len())
	for i, path := range j.g.paths {
		j.users[i] = users[at[path]]
	}
	return nil
}

func (g *Graph) node(i int32) Node {
	n := Node{Path: g.paths[i], Size: g.sizes[i]}
	for _, ref := range g.refs.of(i) {
		n.References = append(n.References, g.paths[ref])
	}
	return n
}

// budget is the least that one of the users may have.
func (j *joint) budget(users uint64) int {
	least := math.MaxInt
	for i := range eachBit(users) {
		least = min(least, j.budgets[i])
	}
	return least
}

// divide has update-cost make at most budget layers of paths.
func (j *joint) divide(ctx context.Context, users uint64, paths []int32, budget int) ([]sharedLayer, error) {
	if len(paths) == 1 || budget == 1 { // a single layer, as of most sets of images
		return []sharedLayer{{users, paths}}, ctx.Err()
	}
	p := &problem{g: j.g, model: j.model, free: paths, budget: budget}
	parts, err := updateCost(ctx, p)
	layers := make([]sharedLayer, len(parts))
	for i, part := range parts {
		layers[i] = sharedLayer{users, part.members}
	}
	return layers, err
}

// bySignature divides the paths that just the same images have, for each set of
// images, as if those had nothing else.
func (j *joint) bySignature(ctx context.Context) ([]sharedLayer, error) {
	with := make(map[uint64][]int32)
	for i, users := range j.users {
		with[users] = append(with[users], int32(i))
	}
	if len(with) > mostJoined {
		return nil, fmt.Errorf("plan layers: there are %d different sets of images that share paths, and at most %d can be planned for: plan fewer images together", len(with), mostJoined)
	}
	most := mostJoined / max(1, len(with))
	var all []sharedLayer
	for _, users := range slices.Sorted(maps.Keys(with)) {
		layers, err := j.divide(ctx, users, with[users], min(most, j.budget(users)))
		if err != nil {
			return nil, err
		}
		all = append(all, layers...)
	}
	return all, nil
}

// mostJoined is how many layers there may be to begin with: each is compared
// with all others.
const mostJoined = 4096

// again divides anew what ended up in layers of the same images, in as many
// layers, and takes that where it is cheaper.
func (j *joint) again(ctx context.Context, layers []sharedLayer) ([]sharedLayer, error) {
	with := make(map[uint64][]sharedLayer)
	for _, l := range layers {
		with[l.users] = append(with[l.users], l)
	}
	var all []sharedLayer
	for _, users := range slices.Sorted(maps.Keys(with)) {
		old := with[users]
		var paths []int32
		for _, l := range old {
			paths = append(paths, l.paths...)
		}
		slices.Sort(paths)
		fresh, err := j.divide(ctx, users, paths, len(old))
		if err != nil {
			return nil, err
		}
		if j.pull(fresh) > j.pull(old) {
			fresh = old
		}
		all = append(all, fresh...)
	}
	return all, nil
}

func (j *joint) pull(layers []sharedLayer) int64 { return j.model.costOf(setsOf(layers)) }

func setsOf(layers []sharedLayer) [][]int32 {
	sets := make([][]int32, len(layers))
	for i, l := range layers {
		sets[i] = l.paths
	}
	return sets
}

// perImage gives each image its layers: what most images share at the bottom,
// and of those the ones first that are less likely to change.
func (j *joint) perImage(layers []sharedLayer) [][]Group {
	sets := make([][]int32, len(layers))
	order := make([]int, len(layers))
	for i, l := range layers {
		slices.Sort(l.paths)
		sets[i], order[i] = l.paths, i
	}
	weights := j.model.weightsOf(sets)
	slices.SortFunc(order, func(a, b int) int {
		x, y := &layers[a], &layers[b]
		return cmp.Or(cmp.Compare(bits.OnesCount64(y.users), bits.OnesCount64(x.users)), cmp.Compare(x.users, y.users),
			cmp.Compare(weights[a], weights[b]), cmp.Compare(j.g.shape[x.paths[0]], j.g.shape[y.paths[0]]), slices.Compare(x.paths, y.paths))
	})
	images := make([][]Group, len(j.budgets))
	for _, at := range order {
		group := j.g.groups([]part{{members: layers[at].paths}})[0]
		for i := range eachBit(layers[at].users) {
			images[i] = append(images[i], group)
		}
	}
	return images
}
