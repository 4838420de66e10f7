package layering

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

const (
	// priorBuilds is how many builds the default rate of a package weighs as
	// much as. Rates spread about as an exponential distribution does, which
	// as a prior weighs 1/defaultRate = 33 builds; that times change argues
	// for more, that a package seen often should leave the prior behind, for less.
	priorBuilds = 20

	// mostBuilds is how many builds count in full; more of them count as that
	// many. Rates change over the years, and 260 weeks say little more of the
	// year to come than 60 months do.
	mostBuilds = 60

	// priorPackages is how many observations of typical packages defaultRate
	// weighs as much as, when the default of a project is learned: a hundred
	// packages, five builds.
	priorPackages = 500
)

// Learn estimates rates from images of one project in order of time, oldest
// first. Between two successive images a package was updated if one of its
// paths has a version that none had before, or if a path got a new hash though
// none of its references did. A path whose references changed was carried
// along: that says nothing of itself if versions never change in this history,
// and that it was not updated if they do. Paths that came or went, such as
// another output of the same version, say nothing. Rates are drawn towards the
// default the more the fewer images a package was seen in. Less than two
// images, and two in succession that have no package in common, are errors.
func Learn(images []*Graph) (*Rates, error) {
	if len(images) < 2 {
		return nil, errors.New("learn rates: want at least two images")
	}
	views := make([]view, len(images))
	for i, g := range images {
		views[i] = viewOf(g)
	}
	var steps []map[string]fate
	versionsTell := false
	for i := 1; i < len(views); i++ {
		step := compareViews(views[i-1], views[i])
		if len(step) == 0 {
			return nil, fmt.Errorf("learn rates: images %d and %d have no package in common", i, i+1)
		}
		for _, f := range step {
			versionsTell = versionsTell || f == newVersion
		}
		steps = append(steps, step)
	}
	seen := make(map[string]Rate)
	for _, step := range steps {
		for pkg, f := range step {
			r := seen[pkg]
			switch f {
			case newVersion, newHash:
				r.Builds++
				r.Updates++
			case unchanged:
				r.Builds++
			case carried:
				if versionsTell {
					r.Builds++
				}
			}
			seen[pkg] = r
		}
	}
	return smooth(seen, packageSizes(images)), nil
}

// packageSizes returns the size of each package in the last image that has it.
func packageSizes(images []*Graph) map[string]int64 {
	sizes := make(map[string]int64)
	for _, g := range slices.Backward(images) {
		here := make(map[string]int64)
		for i, p := range g.paths {
			here[packageOf(p)] += g.sizes[i]
		}
		for pkg, size := range here {
			if _, known := sizes[pkg]; !known {
				sizes[pkg] = size
			}
		}
	}
	return sizes
}

// smooth turns counts into rates.
func smooth(seen map[string]Rate, sizes map[string]int64) *Rates {
	pkgs := slices.Sorted(maps.Keys(seen)) // sums of floats depend on the order
	updates, builds := float64(priorPackages*defaultRate), float64(priorPackages)
	for _, pkg := range pkgs {
		r := seen[pkg]
		updates += float64(r.Updates)
		builds += float64(float64(r.Builds) * rateOfSize(1, sizes[pkg]))
	}
	out := &Rates{Default: min(updates/builds, maxRate), Packages: seen}
	for _, pkg := range pkgs {
		r := seen[pkg]
		prior := min(rateOfSize(out.Default, sizes[pkg]), maxRate)
		counts := min(1, mostBuilds/float64(max(r.Builds, 1)))
		r.Rate = (float64(float64(r.Updates)*counts) + float64(priorBuilds*prior)) / (float64(float64(r.Builds)*counts) + priorBuilds)
		seen[pkg] = r
	}
	return out
}

// fate is what became of a package from one image to the next. If its paths
// fared differently the highest counts.
type fate int

const (
	unchanged fate = iota
	carried
	newHash
	newVersion
)

// view is an image by package.
type view struct {
	g        *Graph
	packages map[string][]int32 // paths, by name and hash
	has      map[string]bool    // paths
}

func viewOf(g *Graph) view {
	v := view{g, make(map[string][]int32), make(map[string]bool, g.Len())}
	for i, p := range g.paths {
		pkg := packageOf(p)
		v.packages[pkg] = append(v.packages[pkg], int32(i))
		v.has[p] = true
	}
	return v
}

// compareViews returns the fate of each package that is in both images.
func compareViews(before, after view) map[string]fate {
	fates := make(map[string]fate)
	for pkg, is := range after.packages {
		was, both := before.packages[pkg]
		if !both {
			continue
		}
		names, versions := before.namesOf(was)
		f := unchanged
		for _, i := range is {
			_, name := splitPath(after.g.paths[i])
			_, version := splitName(name)
			switch {
			case !versions[stem(version)]:
				f = newVersion
			case names[name]:
				f = max(f, after.fateOf(i, before))
			}
		}
		fates[pkg] = f
	}
	return fates
}

// namesOf returns the names of paths, and their versions without the names of
// outputs.
func (v view) namesOf(paths []int32) (names, versions map[string]bool) {
	names, versions = make(map[string]bool), make(map[string]bool)
	for _, p := range paths {
		_, name := splitPath(v.g.paths[p])
		_, version := splitName(name)
		names[name], versions[stem(version)] = true, true
	}
	return names, versions
}

// fateOf says what became of path i, of which there was one with the same
// name before.
func (v view) fateOf(i int32, before view) fate {
	switch {
	case before.has[v.g.paths[i]]:
		return unchanged
	case v.g.listing:
		return carried
	}
	for _, ref := range v.g.refs.of(i) {
		if !before.has[v.g.paths[ref]] {
			return carried
		}
	}
	return newHash
}
