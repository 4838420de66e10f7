package builder

import (
	"strings"
	"testing"

	"terrine/store"
	"terrine/store/fault"
)

// TestChooseDivision: the division that is taken has just the paths of the closure, each
// once; an error names the same path at every run.
func TestChooseDivision(t *testing.T) {
	c := closureOf(manyInfos(t, 9)...)
	var all []store.Path
	for i := range c.Len() {
		all = append(all, c.Path(i))
	}
	other := store.Path("/nix/store/" + strings.Repeat("z", 32) + "-other")
	for name, test := range map[string]struct {
		divisions []Division
		most      int
		want      string
	}{
		"just these":    {[]Division{{all[5:], all[:5]}}, 2, ""},
		"the second":    {[]Division{{all[1:]}, {all}}, 1, ""},
		"a stranger":    {[]Division{{all, {other}}}, 9, "it has " + string(other) + ", which the image has not"},
		"one twice":     {[]Division{{all[:5], all[4:]}}, 9, "it has " + string(all[4]) + " twice"},
		"some lack":     {[]Division{{all[5:7], all[:2]}}, 9, "it lacks 5 paths of the image, such as " + string(all[2])},
		"too many":      {[]Division{{all[5:], all[:5]}}, 1, "it has 2, and at most 1 are allowed"},
		"none of these": {[]Division{{all[1:]}, {all[2:]}}, 9, "none of its 2 images has just the paths of this one"},
	} {
		groups, err := choose(test.divisions, c, test.most)
		if test.want != "" {
			if err == nil || !strings.HasSuffix(err.Error(), ": "+test.want) || fault.CodeOf(err) != fault.Refused {
				t.Errorf("%s: %v, want %q", name, err, test.want)
			}
			continue
		}
		taken := 0
		for _, g := range groups {
			taken += len(g.Paths)
		}
		if err != nil || taken != len(all) || groups[0].Paths[0] != string(test.divisions[len(test.divisions)-1][0][0]) {
			t.Errorf("%s: %v (%v)", name, groups, err)
		}
	}
}
