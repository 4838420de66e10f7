package layering

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

const (
	// mostLooks is how many references are followed to find what the paths of a
	// group all depend on: enough for some hundred paths of usual closures.
	mostLooks = 1 << 20

	// smallPath is the size below which a path is called small: a layer of its
	// own would not pay.
	smallPath = 1 << 20
)

// phrase says what the paths of group k have in common. It names the first that
// holds of: a pin or a group that was asked for, one source, being used by most
// layers, being used by one path alone, a dependency that is not everybody's,
// being small.
func (x *explainer) phrase(k int32, asked bool) string {
	set := x.sets[k]
	if asked {
		return "together on request"
	}
	switch len(set) {
	case 1:
		return "one path" + x.usersOf(set[0])
	case x.g.Len():
		return "everything"
	}
	for _, find := range []func(int32) string{x.oneSource, x.usedByLayers, x.usedByOne} {
		if s := find(k); s != "" {
			return s
		}
	}
	shared := x.sharedBelow(k)
	if shared.top >= 0 && !shared.usual {
		return x.dependency(k, shared.top)
	}
	if s := x.smallAndStable(k); s != "" {
		return s
	}
	switch {
	case shared.unknown:
		return "too many references to tell"
	case shared.top < 0:
		return "no common dependency"
	}
	return fmt.Sprintf("%s; %.0f %% of what changes them is common", x.dependency(k, shared.top), 100*shared.weight)
}

// name is what a path is called in a phrase: its package.
func (x *explainer) name(i int32) string { return packageOf(x.g.paths[i]) }

// usersOf says what depends on a path that is a layer, if that is much or one
// path alone.
func (x *explainer) usersOf(i int32) string {
	if n, others := x.layersAbove(i), len(x.sets)-1; others >= fewLayers && 2*n >= others {
		return ", used by " + ofOthers(n, others)
	}
	switch users := x.g.users.of(i); len(users) {
	case 0:
		return ", nothing uses it"
	case 1:
		return ", only " + x.name(users[0]) + " uses it"
	}
	return ""
}

// oneSource holds of paths that are updated together, or are one package.
func (x *explainer) oneSource(k int32) string {
	set := x.sets[k]
	pkg := x.name(set[0])
	source, same := x.m.source[set[0]], true
	for _, i := range set {
		if x.name(i) != pkg {
			same = false
		}
		if x.m.source[i] != source {
			source = -1
		}
	}
	switch {
	case source >= 0:
		pkg, version := splitPackage(x.g.paths[x.largest(k)])
		return "one source: " + pkg + " " + stem(version)
	case same:
		return "one package: " + pkg
	}
	return ""
}

// fewLayers is how many other layers there should be for a part of them to
// mean something: of two, half is one.
const fewLayers = 3

// usedByLayers holds of paths each of which half of the other layers, or more,
// depend on, and of a path that is most of a layer.
func (x *explainer) usedByLayers(k int32) string {
	others := len(x.sets) - 1
	if others < fewLayers {
		return ""
	}
	fewest, most := others, 0
	for _, i := range x.sets[k] {
		n := x.layersAbove(i)
		fewest = min(fewest, n)
		if 2*x.g.sizes[i] > x.sizes[k] && 2*n >= others {
			most = n
		}
	}
	largest := x.largest(k)
	switch {
	case 2*fewest >= others:
		return "used by " + ofOthers(fewest, others)
	case most > 0:
		return "mostly " + x.name(largest) + ", used by " + ofOthers(most, others)
	}
	return ""
}

func ofOthers(n, others int) string {
	if n == others {
		return "every other layer"
	}
	return fmt.Sprintf("%d of the %d other layers", n, others)
}

// layersAbove returns how many layers, beside its own, have a path that depends
// on path i.
func (x *explainer) layersAbove(i int32) int {
	n := 0
	for _, b := range x.reach.of(i) {
		n += bits.OnesCount64(b)
	}
	if x.groupOf[i] >= 0 {
		n--
	}
	return n
}

func (x *explainer) largest(k int32) int32 {
	return slices.MaxFunc(x.sets[k], func(a, b int32) int {
		return cmp.Or(cmp.Compare(x.g.sizes[a], x.g.sizes[b]), cmp.Compare(x.g.shape[b], x.g.shape[a]))
	})
}

// usedByOne holds of paths that one path outside of the layer refers to, and
// of a path with others that nothing else refers to.
func (x *explainer) usedByOne(k int32) string {
	user, top := int32(-1), int32(-1)
	tops := 0
	for _, i := range x.sets[k] {
		used := false
		for _, u := range x.g.users.of(i) {
			used = true
			if x.groupOf[u] == k {
				continue
			}
			if user >= 0 && user != u {
				return ""
			}
			user = u
		}
		if !used {
			tops++
			top = i
		}
	}
	switch {
	case user >= 0 && tops == 0:
		return "only " + x.name(user) + " uses them"
	case user < 0 && tops == 1:
		return x.name(top) + " and what only it uses"
	}
	return ""
}

func (x *explainer) smallAndStable(k int32) string {
	if x.g.sizes[x.largest(k)] < smallPath && changeProbability(x.weights[k]) < x.average {
		return "small, rarely updated"
	}
	return ""
}

func (x *explainer) dependency(k, top int32) string {
	if x.groupOf[top] == k {
		return x.name(top) + " and what depends on it"
	}
	return "all depend on " + x.name(top)
}

// shared is what all paths of a group have in their closures.
type shared struct {
	unknown bool    // it would take too long to find
	top     int32   // the highest path of it, or −1
	usual   bool    // half of all paths depend on that
	weight  float64 // of its events, as a part of the group's
}

// sharedBelow finds what all paths of group k depend on. It looks at those only
// that depend on no other path of the group: what is below them is below all.
func (x *explainer) sharedBelow(k int32) shared {
	seen := make([]int32, x.g.Len()) // how many closures a path was in, one after the other
	seenSource := make([]int32, len(x.m.shared))
	looks := 0
	var round int32
	for _, from := range x.lowest(k) {
		found := false
		looks += x.walk(from, x.g.refs, func(i int32) {
			if seen[i] == round {
				seen[i]++
				found = true
			}
			if s := x.m.source[i]; s >= 0 && seenSource[s] == round {
				seenSource[s]++
			}
		}, mostLooks-looks)
		if looks >= mostLooks {
			return shared{unknown: true, top: -1}
		}
		if round++; !found {
			return shared{top: -1}
		}
	}
	out := shared{top: -1}
	var weight int64
	for i := range seen {
		if seen[i] != round {
			continue
		}
		if x.m.source[i] < 0 {
			weight += x.m.own[i]
		}
		if out.top < 0 || x.above(int32(i), out.top) {
			out.top = int32(i)
		}
	}
	for s, n := range seenSource {
		if n == round {
			weight += x.m.shared[s]
		}
	}
	if w := x.weights[k]; w > 0 {
		out.weight = float64(weight) / float64(w)
	}
	out.usual = 2*x.dependants(out.top) >= x.g.Len()
	return out
}

// above orders paths by height, then size, then place by shape.
func (x *explainer) above(a, b int32) bool {
	return cmp.Or(cmp.Compare(x.height[a], x.height[b]), cmp.Compare(x.g.sizes[a], x.g.sizes[b]),
		cmp.Compare(x.g.shape[b], x.g.shape[a])) > 0
}

// lowest returns the paths of group k that depend on no other of it.
func (x *explainer) lowest(k int32) []int32 {
	depends := make([]bool, x.g.Len())
	var low []int32
	for _, i := range x.g.topo {
		depends[i] = slices.ContainsFunc(x.g.refs.of(i), func(ref int32) bool { return depends[ref] || x.groupOf[ref] == k })
		if x.groupOf[i] == k && !depends[i] {
			low = append(low, i)
		}
	}
	slices.SortFunc(low, func(a, b int32) int { return cmp.Compare(x.g.shape[a], x.g.shape[b]) })
	return low
}

// walk calls visit for path from and all that e leads to from there, and returns how
// many edges it followed: no more than most, and about that many if it has left some
// out.
func (x *explainer) walk(from int32, e edges, visit func(int32), most int) int {
	x.turn++
	x.been[from] = x.turn
	todo := []int32{from}
	looks := 0
	for len(todo) > 0 && looks < most {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		visit(i)
		next := e.of(i)
		looks += len(next) + 1
		for _, to := range next {
			if x.been[to] != x.turn {
				x.been[to] = x.turn
				todo = append(todo, to)
			}
		}
	}
	return looks
}

// dependants returns how many paths depend on path i.
func (x *explainer) dependants(i int32) int {
	count := -1 // not i itself
	x.walk(i, x.g.users, func(int32) { count++ }, math.MaxInt)
	return count
}
