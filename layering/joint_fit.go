package layering

import (
	"context"
	"errors"
	"math/bits"
	"slices"
)

// jointLayer is a layer of some images while layers are joined.
type jointLayer struct {
	users   uint64
	atoms   []int32
	size    int64
	largest int64
	events  []uint64
	weight  int64
	pull    int64 // expected, of one image
}

// jointFit joins layers until no image has too many.
//
// Two layers X and Y that images I both have are joined for those: into one
// layer of I. Images that have only X, or only Y, keep that as it was, so it is
// stored twice then. A pair costs what is stored more, and what is expected to
// be pulled more by all images within the horizon; the cheapest goes first, for
// each layer that it saves an image with too many.
type jointFit struct {
	in     *instance
	layers []*jointLayer
	rise   [][]int64 // rise[i][k], k < i: what joining i and k costs more; never if it must not be
	count  []int     // layers of each image
	over   uint64    // the images with too many
	limits []int
	most   int64 // bytes that a layer should not exceed
}

// fit joins layers until each image is within its budget.
func (j *joint) fit(ctx context.Context, layers []sharedLayer) ([]sharedLayer, error) {
	sets := make([][]int32, len(layers))
	for i, l := range layers {
		sets[i] = l.paths
	}
	all := &problem{g: j.g, budget: slices.Max(j.budgets)}
	f := &jointFit{in: j.model.newInstance(sets, all.costOptions()), count: make([]int, len(j.budgets)), limits: j.budgets}
	f.most = f.in.opt.most
	for a := range f.in.atoms {
		users := j.users[f.in.atoms[a].paths[0]]
		f.layers = append(f.layers, f.layer(users, []int32{int32(a)}))
		for i := range eachBit(users) {
			f.count[i]++
		}
	}
	for i := range f.layers {
		f.rise = append(f.rise, make([]int64, i))
		f.price(i)
	}
	for f.findOver(); f.over != 0; f.findOver() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := f.joinCheapest(); err != nil {
			return nil, err
		}
	}
	return f.result(), nil
}

func (f *jointFit) result() []sharedLayer {
	var out []sharedLayer
	for _, l := range f.layers {
		if l.users == 0 {
			continue
		}
		s := sharedLayer{users: l.users}
		for _, a := range l.atoms {
			s.paths = append(s.paths, f.in.atoms[a].paths...)
		}
		out = append(out, s)
	}
	return out
}

func (f *jointFit) layer(users uint64, atoms []int32) *jointLayer {
	l := &jointLayer{users: users, atoms: atoms, events: make([]uint64, f.in.words)}
	for _, a := range atoms {
		at := &f.in.atoms[a]
		l.size += at.size
		l.largest = max(l.largest, at.size)
		for w, e := range at.events {
			l.events[w] |= e
		}
	}
	l.weight = f.in.weightOf(l.events)
	l.pull = expected(l.size, l.weight)
	return l
}

func (f *jointFit) findOver() {
	f.over = 0
	for i, n := range f.count {
		if n > f.limits[i] {
			f.over |= 1 << i
		}
	}
}

// price fills in what joining layer i and each other costs.
func (f *jointFit) price(i int) {
	for k := range f.layers {
		switch {
		case k < i:
			f.rise[i][k] = f.joint(f.layers[i], f.layers[k])
		case k > i && k < len(f.rise):
			f.rise[k][i] = f.joint(f.layers[i], f.layers[k])
		}
	}
}

// joint is what it costs more, stored and pulled, when the images that have both
// have x and y as one. No image has a path twice, so x and y have none in common.
func (f *jointFit) joint(x, y *jointLayer) int64 {
	both := x.users & y.users
	size := x.size + y.size
	if both == 0 || !fits(size, max(x.largest, y.largest), f.most) {
		return never
	}
	var stored int64
	if x.users != both {
		stored += x.size
	}
	if y.users != both {
		stored += y.size
	}
	pull := expected(size, x.weight+f.in.extraWeight(y.events, x.events)) - x.pull - y.pull
	return 256*stored + horizon*int64(bits.OnesCount64(both))*pull
}

// joinCheapest joins the two layers for which that costs least for each image
// with too many that it helps.
func (f *jointFit) joinCheapest() error {
	bi, bk, best := -1, -1, float64(0)
	for i, row := range f.rise {
		users := f.layers[i].users & f.over
		if users == 0 {
			continue
		}
		for k, rise := range row {
			helped := users & f.layers[k].users
			if helped == 0 || rise == never {
				continue
			}
			if each := float64(rise) / float64(bits.OnesCount64(helped)); bi < 0 || each < best {
				bi, bk, best = i, k, each
			}
		}
	}
	if bi < 0 {
		return f.widen()
	}
	x, y := f.layers[bi], f.layers[bk]
	both := x.users & y.users
	for i := range eachBit(both) {
		f.count[i]--
	}
	joined := f.layer(both, slices.Concat(x.atoms, y.atoms))
	// Where the two are no more, there is room for the new one.
	x.users &^= both
	y.users &^= both
	switch {
	case x.users == 0:
		f.layers[bi] = joined
	case y.users == 0:
		f.layers[bk] = joined
	default:
		f.layers = append(f.layers, joined)
		f.rise = append(f.rise, make([]int64, len(f.layers)-1))
		f.price(len(f.layers) - 1)
	}
	f.price(bi)
	f.price(bk)
	return nil
}

// widen lets layers be twice as large, where the budget cannot be kept without.
func (f *jointFit) widen() error {
	const enough = 1 << 61
	if f.most >= enough {
		return errors.New("plan layers: no two layers can be joined")
	}
	f.most *= 2
	for i := range f.layers {
		f.price(i)
	}
	return nil
}
