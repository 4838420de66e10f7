package layering

import (
	"context"
	"errors"
	"math"
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
	best   []int     // of each layer: the k with the least each(i, k), the lowest of equals; or −1
	least  []float64 // what that is
	count  []int     // layers of each image
	over   uint64    // the images with too many
	limits []int
	most   int64 // bytes that a layer should not exceed
}

// fit joins layers until each image is within its budget.
func (j *joint) fit(ctx context.Context, layers []sharedLayer) ([]sharedLayer, error) {
	all := &problem{g: j.g, budget: slices.Max(j.budgets)}
	f := &jointFit{in: j.model.newInstance(setsOf(layers), all.costOptions()), count: make([]int, len(j.budgets)), limits: j.budgets}
	f.most = f.in.opt.most
	users := make([]uint64, len(f.in.atoms))
	for a := range f.in.atoms {
		users[a] = j.users[f.in.atoms[a].paths[0]]
		for i := range eachBit(users[a]) {
			f.count[i]++
		}
	}
	f.findOver()
	for a, users := range users {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.add(f.layer(users, []int32{int32(a)}))
	}
	for ; f.over != 0; f.findOver() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i, k := f.cheapest(); i >= 0 {
			f.join(i, k)
		} else if err := f.widen(); err != nil {
			return nil, err
		}
	}
	return f.result(), nil
}

func (f *jointFit) add(l *jointLayer) {
	i := len(f.layers)
	f.layers = append(f.layers, l)
	f.rise = append(f.rise, make([]int64, i))
	f.best, f.least = append(f.best, -1), append(f.least, math.Inf(1))
	f.priceLower(i)
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

// findOver finds the images with too many layers. There are never more of them
// than before.
func (f *jointFit) findOver() {
	before := f.over
	f.over = 0
	for i, n := range f.count {
		if n > f.limits[i] {
			f.over |= 1 << i
		}
	}
	for i := range f.layers {
		if f.layers[i].users&(before^f.over) != 0 {
			f.findBest(i)
		}
	}
}

// price fills in what joining layer i and each other costs.
func (f *jointFit) price(i int) {
	f.priceLower(i)
	for k := i + 1; k < len(f.layers); k++ {
		f.rise[k][i] = f.joint(f.layers[k], f.layers[i])
		switch each := f.each(k, i); {
		case f.best[k] == i && each > f.least[k]:
			f.findBest(k)
		case each < f.least[k] || each == f.least[k] && i < f.best[k]:
			f.best[k], f.least[k] = i, each
		}
	}
}

// priceLower does it for the others with lower numbers.
func (f *jointFit) priceLower(i int) {
	for k := range i {
		f.rise[i][k] = f.joint(f.layers[i], f.layers[k])
	}
	f.findBest(i)
}

func (f *jointFit) findBest(i int) {
	best, least := -1, math.Inf(1)
	if f.layers[i].users&f.over != 0 {
		for k := range i {
			if each := f.each(i, k); each < least {
				best, least = k, each
			}
		}
	}
	f.best[i], f.least[i] = best, least
}

// each is what joining layers i and k costs for each image with too many that it
// helps; infinitely much if it helps none, or must not be.
func (f *jointFit) each(i, k int) float64 {
	helped := f.layers[i].users & f.layers[k].users & f.over
	if helped == 0 || f.rise[i][k] == never {
		return math.Inf(1)
	}
	return float64(f.rise[i][k]) / float64(bits.OnesCount64(helped))
}

// joint is what it costs more, stored and pulled, when the images that have both
// have x and y as one; never where that helps no image. No image has a path
// twice, so x and y have none in common.
func (f *jointFit) joint(x, y *jointLayer) int64 {
	both := x.users & y.users
	size := x.size + y.size
	if both&f.over == 0 || !fits(size, max(x.largest, y.largest), f.most) {
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

// cheapest returns the two layers for which joining costs least for each image
// with too many that it helps; −1 if none can be joined.
func (f *jointFit) cheapest() (i, k int) {
	i, least := -1, math.Inf(1)
	for x, each := range f.least {
		if each < least {
			i, least = x, each
		}
	}
	if i < 0 {
		return -1, -1
	}
	return i, f.best[i]
}

// join makes layers i and k one for the images that have both.
func (f *jointFit) join(i, k int) {
	x, y := f.layers[i], f.layers[k]
	both := x.users & y.users
	for image := range eachBit(both) {
		f.count[image]--
	}
	joined := f.layer(both, slices.Concat(x.atoms, y.atoms))
	// Where the two are no more, there is room for the new one.
	x.users &^= both
	y.users &^= both
	switch {
	case x.users == 0:
		f.layers[i] = joined
	case y.users == 0:
		f.layers[k] = joined
	default:
		f.add(joined)
	}
	f.price(i)
	f.price(k)
}

// widen lets layers be twice as large, where the budget cannot be kept without.
func (f *jointFit) widen() error {
	const enough = 1 << 61
	if f.most >= enough {
		return errors.New("plan layers: no two layers can be joined")
	}
	f.most *= 2
	for i := range f.layers {
		f.priceLower(i)
	}
	return nil
}
