package layering

import "math"

// Constants of the model. docs/layering.md has the figures behind them.
const (
	// defaultRate is the probability that a package of typicalSize is updated
	// between two builds of an image, where nothing else is known.
	defaultRate = 0.03

	// typicalSize is the size of a package to which defaultRate applies: most
	// bytes of a closure are in packages of some ten million.
	typicalSize = 30_000_000

	// growth is what the rate is multiplied by for each doubling of size:
	// 2^0.15. In Debian, 2019 to 2023, packages around 15 MB were updated 2.1
	// to 2.9 times as often as those around 35 kB, in each of four closures.
	growth = 1.1095694720678451

	// maxRate keeps weights finite: a package that always changes is one that
	// stays the same once in a hundred builds.
	maxRate = 0.99
)

// weightOne is the weight 1 in the fixed-point numbers that weights are kept
// in. Sums of integers are the same in any order, and a part taken away leaves
// exactly the rest.
const weightOne = 1 << 32

// model says how likely sets of paths are to change between two builds.
//
// Things that happen to a closure are events: a path is updated, or all paths
// of one source are. A layer changes when any event happens that concerns its
// paths or what they depend on. How busy the time between two builds was is
// not known (a day or a season, a freeze or a release): event e happens at
// rate weight(e) × θ, where θ has mean 1 and a gamma distribution of shape 4.
// Then none of a set of events happens with probability
//
//	E exp(−θW) = (1 + W/4)^−4
//
// where W is the sum of their weights. For a single event of probability u
// that is Π (1 − u); for many it falls more slowly than the product does, as
// updates come in bursts. Shape 4 is what the spread of monthly counts of
// updates in Debian closures comes to (2.5 to 6.9 in six of eight periods).
type model struct {
	g      *Graph
	own    []int64 // weight of the update of each path by itself
	source []int32 // event of the source that a path shares with others, or −1
	shared []int64 // weight of each such event
	rates  *Rates
}

func newModel(g *Graph, rates *Rates) *model {
	m := &model{g: g, own: make([]int64, g.Len()), rates: rates}
	m.source, m.shared = g.sourceEvents()
	sizes := make([]int64, len(m.shared))
	for i, s := range m.source {
		if s >= 0 {
			sizes[s] += g.sizes[i]
		}
	}
	// Of what is known of the paths of one source the best founded counts.
	builds := make([]int, len(m.shared))
	for i, s := range m.source {
		_, name := splitPath(g.paths[i])
		if s < 0 {
			m.own[i] = eventWeight(rates.of(name, g.sizes[i]).Rate)
			continue
		}
		rate := rates.of(name, sizes[s])
		switch w := eventWeight(rate.Rate); {
		case rate.Builds > builds[s]:
			builds[s], m.shared[s] = rate.Builds, w
		case rate.Builds == builds[s]:
			m.shared[s] = max(m.shared[s], w)
		}
	}
	return m
}

// rateOfSize scales the rate of a typical package to one of the given size.
// Within an octave it goes in a straight line.
func rateOfSize(rate float64, size int64) float64 {
	at := float64(max(size, 1))
	for ; at < typicalSize; at *= 2 {
		rate /= growth
	}
	for ; at >= 2*typicalSize; at /= 2 {
		rate *= growth
	}
	return rate + float64(rate*float64((growth-1)*(at/typicalSize-1)))
}

// eventWeight returns the weight of an event of probability u, so that it
// alone happens with just that probability.
//
// Here and elsewhere in this package float64(…) around a product keeps compilers
// from fusing it with a sum, which some processors can and others cannot:
// plans must not depend on the machine. Square roots and quotients are exactly
// rounded on all.
func eventWeight(u float64) int64 {
	u = min(u, maxRate)
	return int64(float64(shape*(1/math.Sqrt(math.Sqrt(1-u))-1)) * weightOne)
}

const shape = 4

// changeProbability is the probability that something with events of that
// weight changes.
func changeProbability(weight int64) float64 {
	r := shape * weightOne / (shape*weightOne + float64(weight))
	r *= r
	return 1 - float64(r*r)
}

// expected is size × probability, in 1/256 bytes.
func expected(size, weight int64) int64 {
	return int64(float64(float64(size)*changeProbability(weight)) * 256)
}

// weightBelow returns a weight above which size is expected to cost more than
// the given cost. It may be a little more than the least such weight: it
// serves to stop early.
func weightBelow(cost, size int64) int64 {
	stays := 1 - float64(cost)/(float64(size)*256)
	if stays <= 1e-9 {
		return never
	}
	return int64(float64(shape*weightOne*1.000001)*(1/math.Sqrt(math.Sqrt(stays))-1)) + weightOne>>16
}

const never = math.MaxInt64

// weightsOf returns the weights of the closures of sets.
func (m *model) weightsOf(sets [][]int32) []int64 {
	return m.joinedWeights(sets, -1)
}

// costOf returns what sets are expected to cost as layers, in 1/256 bytes.
func (m *model) costOf(sets [][]int32) int64 {
	var sum int64
	sizes := m.g.sizesOf(sets)
	for k, weight := range m.weightsOf(sets) {
		sum += expected(sizes[k], weight)
	}
	return sum
}

// joinedWeights returns the weight of each set, joined with sets[with] if
// that is not −1.
func (m *model) joinedWeights(sets [][]int32, with int) []int64 {
	weights := make([]int64, len(sets))
	for _, class := range m.eventClasses(m.g.reachOf(sets)) {
		all := with >= 0 && hasBit(class.atoms, int32(with))
		for k := range sets {
			if all || hasBit(class.atoms, int32(k)) {
				weights[k] += class.weight
			}
		}
	}
	return weights
}

// cheapestPartner returns the set that is best joined with sets[with]: where
// the bytes that are expected to be pulled again grow least.
func (m *model) cheapestPartner(sets [][]int32, sizes []int64, with int) int {
	alone, joint := m.weightsOf(sets), m.joinedWeights(sets, with)
	best, least := -1, int64(never)
	for k := range sets {
		if k == with {
			continue
		}
		if rise := expected(sizes[k]+sizes[with], joint[k]) - expected(sizes[k], alone[k]); rise < least {
			best, least = k, rise
		}
	}
	return best
}
