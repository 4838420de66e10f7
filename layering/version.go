package layering

import "strings"

// splitName splits a name into package and version as Nix's parseDrvName
// does: the version begins after the first dash that no letter follows.
func splitName(name string) (pkg, version string) {
	for i := 0; i+1 < len(name); i++ {
		if c := name[i+1] | 0x20; name[i] == '-' && (c < 'a' || c > 'z') {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// splitPackage returns package and version of a store path.
func splitPackage(path string) (pkg, version string) {
	_, name := splitPath(path)
	return splitName(name)
}

func packageOf(path string) string {
	pkg, _ := splitPackage(path)
	return pkg
}

// stem returns what of a version names the source: without the name of an
// output ("1.2.3-dev" is an output of "1.2.3"), which is a last part of
// letters alone.
func stem(version string) string {
	for {
		i := strings.LastIndexByte(version, '-')
		if i < 0 || !isLetters(version[i+1:]) {
			return version
		}
		version = version[:i]
	}
}

func isLetters(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return s != ""
}

// tellingVersion is the length from which two packages of one version are
// taken for one source. Shorter ones ("1.0", "2.12") meet by chance.
const tellingVersion = 5

// tells says whether packages of that version are taken for one source. Three
// digits, such as 1.0.0, are what half of all projects have at some time.
func tells(version string) bool {
	if len(version) != tellingVersion {
		return len(version) > tellingVersion
	}
	return version[1] != '.' || version[3] != '.'
}

// sourceEvents groups paths that come from one source: same version, or, if
// that is short, same version and package. It returns each path's event, −1
// for a path by itself, and a weight, still 0, for each event. Events are
// numbered in the order of shape, which hashes do not change.
func (g *Graph) sourceEvents() (source []int32, weights []int64) {
	source = make([]int32, g.Len())
	for i := range source {
		source[i] = -1
	}
	first := make(map[string]int32)
	for _, i := range g.byShape() {
		pkg, version := splitPackage(g.paths[i])
		key := stem(version)
		switch {
		case version == "":
			continue
		case !tells(key):
			key = pkg + "-" + key
		}
		leader, known := first[key]
		if !known {
			first[key] = i
			continue
		}
		if source[leader] < 0 {
			source[leader] = int32(len(weights))
			weights = append(weights, 0)
		}
		source[i] = source[leader]
	}
	return source, weights
}
