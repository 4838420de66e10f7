package layering

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
)

// plansOfRevision is the sum over what TestRevision plans, of which Revision.
const (
	revisionOfPlans = 8
	plansOfRevision = "efcbb82b865679c4"
)

// TestRevision fails when plans change and Revision does not.
func TestRevision(t *testing.T) {
	sum := sha256.New()
	for _, strategy := range Strategies() {
		for seed, n := range []int{3, 40, 140, 600, 2500, 9000} {
			r := rand.New(rand.NewPCG(uint64(seed), 9))
			g := mustGraph(t, randomNodes(r, n))
			for _, o := range []Options{
				{}, {MaxLayers: 7}, {MaxLayers: 40, MinSize: 1 << 20}, {MaxLayers: 20, Pins: []Pin{{Glob: "*-pa*", Layer: "pinned"}}},
				{MaxLayers: 30, Rates: &Rates{Default: 0.02, Packages: map[string]Rate{"pab": {Rate: 0.5, Builds: 9, Updates: 5}}}},
			} {
				o.Strategy = strategy
				if n < 1000 && o.MaxLayers == 7 { // the image before was one of other rules
					o.Previous = pathsOf(plan(t, g, Options{MaxLayers: 15}))
				}
				for _, group := range plan(t, g, o) {
					fmt.Fprintln(sum, group.Name, group.Paths)
				}
			}
		}
	}
	got := fmt.Sprintf("%x", sum.Sum(nil)[:8])
	switch {
	case got == plansOfRevision && Revision == revisionOfPlans:
	case Revision == revisionOfPlans:
		t.Errorf("plans have changed: give Revision another number, and write here %q", got)
	default:
		t.Errorf("Revision is %d: write here that, and %q", Revision, got)
	}
}

// jointPlans is the sum over what TestJointPlansStay plans. Nobody keeps joint
// plans, so they have no Revision; that they change has to be on purpose.
const jointPlans = "bff59a6a6adc3673"

func TestJointPlansStay(t *testing.T) {
	sum := sha256.New()
	for seed, c := range []struct{ paths, images, roots, budget int }{
		{300, 20, 5, 10}, {300, 6, 40, 30}, {600, 64, 8, 3}, {1000, 64, 10, 100},
	} {
		r := rand.New(rand.NewPCG(uint64(seed), 11))
		all := randomNodes(r, c.paths)
		var images []Joint
		for range c.images {
			images = append(images, Joint{closureOf(t, r, all, c.roots), 1 + r.IntN(2*c.budget)})
		}
		plans, err := PlanJoint(t.Context(), images, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, groups := range plans {
			for _, group := range groups {
				fmt.Fprintln(sum, group.Paths)
			}
			fmt.Fprintln(sum)
		}
	}
	if got := fmt.Sprintf("%x", sum.Sum(nil)[:8]); got != jointPlans {
		t.Errorf("joint plans have changed: if they had to, write here %q", got)
	}
}
