package layering

// walk is what searches of a cover write down. Nothing of it has to be cleared
// for the next.
type walk struct {
	steps int // how many references, users and layers all searches have looked at
	round int32
	mark  []int32 // path → the last search that found it
	found []int32 // what this search has found, in that order
	event []int32 // source → the last search that came by it
	left  []int32 // source → how many of its paths that search has not found
	tried []int32 // path → the last search that looked at its users
	users []int32 // path → how many of them it has looked at
}

func (m *model) newWalk() walk {
	n, sources := m.g.Len(), len(m.shared)
	return walk{mark: make([]int32, n), tried: make([]int32, n), users: make([]int32, n), event: make([]int32, sources), left: make([]int32, sources)}
}

func (w *walk) start(at int32) {
	w.round++
	w.found = w.found[:0]
	w.find(at)
}

func (w *walk) find(at int32) {
	w.mark[at] = w.round
	w.found = append(w.found, at)
}

// extraWeight finds what would concern layer k with path a, and does not without,
// and returns the weight of its events.
func (c *cover) extraWeight(a, k int32) int64 {
	c.start(a)
	if hasBit(c.reach.of(a), k) {
		c.found = c.found[:0]
	}
	var sum int64
	for at := 0; at < len(c.found); at++ {
		i := c.found[at]
		switch s := c.m.source[i]; {
		case s < 0:
			sum += c.m.own[i]
		case c.event[s] != c.round && *c.hitsOf(s, k) == 0:
			c.event[s] = c.round
			sum += c.m.shared[s]
		}
		refs := c.m.g.refs.of(i)
		c.steps += len(refs)
		for _, ref := range refs {
			if c.mark[ref] != c.round && !hasBit(c.reach.of(ref), k) {
				c.find(ref)
			}
		}
	}
	return sum
}

// onlyBy finds what concerns the layer of path a for a's sake alone, and returns
// the weight of its events.
func (c *cover) onlyBy(a int32) int64 {
	k := c.home[a]
	var sum int64
	c.start(a)
	if c.isHeld(a, k) {
		c.found = c.found[:0]
		return 0
	}
	for at := 0; at < len(c.found); at++ {
		i := c.found[at]
		if s := c.m.source[i]; s < 0 {
			sum += c.m.own[i]
		} else {
			if c.event[s] != c.round {
				c.event[s], c.left[s] = c.round, *c.hitsOf(s, k)
			}
			if c.left[s]--; c.left[s] == 0 {
				sum += c.m.shared[s]
			}
		}
		refs := c.m.g.refs.of(i)
		c.steps += len(refs)
		for _, ref := range refs {
			if c.mark[ref] != c.round && c.home[ref] != k && !c.isHeld(ref, k) {
				c.find(ref)
			}
		}
	}
	return sum
}

// isHeld tells whether path i concerns layer k for the sake of one of its users
// that the search has not found. One that it has found stays found: users are
// looked at once in a search.
func (c *cover) isHeld(i, k int32) bool {
	users := c.m.g.users.of(i)
	if c.tried[i] != c.round {
		c.tried[i], c.users[i] = c.round, 0
	}
	for at := c.users[i]; int(at) < len(users); at++ {
		c.steps++
		if u := users[at]; c.mark[u] != c.round && hasBit(c.reach.of(u), k) {
			c.users[i] = at
			return true
		}
	}
	return false
}
