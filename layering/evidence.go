package layering

import "maps"

// observe returns rates with what the image before tells of g: a path that is
// new since then, though nothing that it refers to is, was updated by itself,
// and so its package is more likely to be updated again. It is what Learn would
// conclude of the two images, with its prior. A package that the image before
// does not have at all tells nothing, and neither does one that stayed as it
// was: what one build says of that is next to nothing.
func (g *Graph) observe(previous [][]string, rates *Rates) *Rates {
	had, packages := make(map[string]bool), make(map[string]bool)
	for _, paths := range previous {
		for _, path := range paths {
			had[path] = true
			packages[packageOf(path)] = true
		}
	}
	sizes := make(map[string]int64)
	updated := make(map[string]bool)
	for i, path := range g.paths {
		pkg := packageOf(path)
		sizes[pkg] += g.sizes[i]
		if !had[path] && packages[pkg] && g.refersOnlyTo(int32(i), had) {
			updated[pkg] = true
		}
	}
	if len(updated) == 0 {
		return rates
	}
	out := &Rates{Default: defaultRate, Packages: make(map[string]Rate, len(updated))}
	if rates != nil {
		out.Default = rates.Default
		maps.Copy(out.Packages, rates.Packages)
	}
	for pkg := range updated {
		r := rates.of(pkg, sizes[pkg])
		before := float64(r.Builds + priorBuilds)
		r.Rate = (float64(r.Rate*before) + 1) / (before + 1)
		r.Builds++
		r.Updates++
		out.Packages[pkg] = r
	}
	return out
}

func (g *Graph) refersOnlyTo(i int32, paths map[string]bool) bool {
	for _, ref := range g.refs.of(i) {
		if !paths[g.paths[ref]] {
			return false
		}
	}
	return true
}
