package layering

import (
	"cmp"
	"slices"
)

// rankByShape returns, for each path, its rank among all by name, then by
// size and by where it stands in the graph, and only then by hash. Strategies
// that promise stability break ties with it: of two paths with one name (glibc
// for two systems, say) a new hash for either must not swap their places.
func (g *Graph) rankByShape() []int32 {
	n := g.Len()
	down := make([]uint64, n) // of the path and all below it
	names := make([]string, n)
	for _, i := range g.topo {
		_, names[i] = splitPath(g.paths[i])
		h := mix(hashString(names[i]) ^ mix(uint64(g.sizes[i])))
		var below uint64
		for _, ref := range g.refs.of(i) {
			below += mix(down[ref]) // a sum, so that the order of references is nothing
		}
		down[i] = mix(h + 3*below)
	}
	both := make([]uint64, n) // of what refers to it as well
	for k := n - 1; k >= 0; k-- {
		i := g.topo[k]
		var above uint64
		for _, user := range g.users.of(i) {
			above += mix(both[user])
		}
		both[i] = mix(down[i] + 5*above)
	}
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(names[a], names[b]), cmp.Compare(g.sizes[a], g.sizes[b]), cmp.Compare(both[a], both[b]), cmp.Compare(a, b))
	})
	rank := make([]int32, n)
	for r, i := range order {
		rank[i] = int32(r)
	}
	return rank
}

// byShape returns the paths in the order of shape.
func (g *Graph) byShape() []int32 {
	paths := make([]int32, g.Len())
	for i, rank := range g.shape {
		paths[rank] = int32(i)
	}
	return paths
}

// hashString is FNV-1a with 64 bits. It orders ties and nothing else: a
// collision costs no correctness.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is the finaliser of splitmix64: every bit of x moves every bit of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
