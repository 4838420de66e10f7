package layering

import "math"

// Defaults of the model. docs/layering.md says how they were chosen.
const (
	// defaultRate is the probability that a path is updated by itself between
	// two builds of an image, where nothing else is known.
	defaultRate = 0.03

	// sharedRate is the part of a path's updates that come with those of the
	// other paths of its version: outputs of one derivation, and packages
	// made of one source, are nearly always built anew together.
	sharedRate = 0.9

	// maxRate keeps odds finite: a path that always changes is one that
	// stays the same once in a hundred builds.
	maxRate = 0.99
)

// weightOne is the weight 1 in the fixed-point numbers that weights are kept
// in. Sums of integers are the same in any order, and a part taken away leaves
// exactly the rest.
const weightOne = 1 << 32

// model says how likely sets of paths are to change between two builds.
//
// Things that happen to a closure are events: that one path is updated, or
// that all paths of one version are. A layer changes when any event happens
// that concerns its paths or what they depend on. How busy the time between
// two builds was is not known (a day or a season; a freeze or a release), so
// event e happens at rate weight(e) × θ, where θ is exponentially distributed
// with mean 1. Then none of a set of events happens with probability
// E exp(−θW) = 1 / (1 + W), where W is the sum of their weights; and a single
// event has probability u if its weight is the odds u / (1 − u).
type model struct {
	g      *Graph
	own    []int64 // weight of the update of each path by itself
	source []int32 // event of the version that a path shares with others, or −1
	shared []int64 // weight of each such event
}

func newModel(g *Graph) *model {
	m := &model{g: g, own: make([]int64, g.Len())}
	m.source, m.shared = g.versionEvents()
	for i := range m.own {
		w := rateWeight(defaultRate)
		if s := m.source[i]; s >= 0 {
			m.shared[s] = max(m.shared[s], scaleWeight(w, sharedRate))
			w -= scaleWeight(w, sharedRate)
		}
		m.own[i] = w
	}
	return m
}

func rateWeight(u float64) int64 {
	u = min(u, maxRate)
	return int64(u / (1 - u) * weightOne)
}

func scaleWeight(w int64, by float64) int64 { return int64(float64(w) * by) }

// changeProbability is the probability that something with events of that
// weight changes. It divides and does no more: Go lets compilers fuse products
// and sums, and then results differ from one kind of processor to another.
func changeProbability(weight int64) float64 {
	w := float64(weight)
	return w / (weightOne + w)
}

// expected is size × probability, in 1/256 bytes.
func expected(size, weight int64) int64 {
	return int64(float64(size) * changeProbability(weight) * 256)
}

const never = math.MaxInt64

// weightsOf returns the weights of the closures of sets.
func (m *model) weightsOf(sets [][]int32) []int64 {
	return m.joinedWeights(sets, -1)
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
