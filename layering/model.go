package layering

import "math"

// defaultRate is the probability that a path is updated by itself between two
// builds of an image, where nothing else is known.
const defaultRate = 0.03

// model says what an update is expected to cost.
//
// Paths are updated independently, path q with probability u(q) between two
// builds. Then a set of paths S, with what it depends on, stays as it is with
// probability Π (1 − u(q)) over its closure. With weight(q) = −ln(1 − u(q))
// that is exp(−Σ weight), so that a closure is summed up in one number.
type model struct {
	g      *Graph
	weight []float64
}

func newModel(g *Graph) *model {
	m := &model{g: g, weight: make([]float64, g.Len())}
	for i := range m.weight {
		m.weight[i] = -math.Log1p(-defaultRate)
	}
	return m
}

// changeProbability is 1 − exp(−weight), the probability that something of that
// weight is not what it was.
func changeProbability(weight float64) float64 { return -math.Expm1(-weight) }

// closureWeights returns the weight of the closure of each set.
func (m *model) closureWeights(sets [][]int32) []float64 {
	r := m.g.reachOf(sets)
	weights := make([]float64, len(sets))
	for _, i := range m.g.topo { // floats: the order of addition is part of the result
		for w, b := range r.of(i) {
			for k := range eachBit(b) {
				weights[w*64+k] += m.weight[i]
			}
		}
	}
	return weights
}

// cheapestPartner returns the set that is best joined with sets[with]: where
// the bytes that are expected to be pulled again grow least.
func (m *model) cheapestPartner(sets [][]int32, sizes []int64, with int) int {
	r := m.g.reachOf(sets)
	alone, joint := make([]float64, len(sets)), make([]float64, len(sets))
	for _, i := range m.g.topo {
		row := r.of(i)
		mine := hasBit(row, int32(with))
		for k := range sets {
			its := hasBit(row, int32(k))
			if its {
				alone[k] += m.weight[i]
			}
			if its || mine {
				joint[k] += m.weight[i]
			}
		}
	}
	best, bestCost := -1, math.Inf(1)
	for k := range sets {
		if k == with {
			continue
		}
		cost := float64(sizes[k]+sizes[with])*changeProbability(joint[k]) - float64(sizes[k])*changeProbability(alone[k])
		if cost < bestCost {
			best, bestCost = k, cost
		}
	}
	return best
}

// setWeight returns the weight of a set of paths.
func (m *model) setWeight(set []uint64) float64 {
	sum := 0.0
	for w, b := range set {
		for k := range eachBit(b) {
			sum += m.weight[w*64+k]
		}
	}
	return sum
}
