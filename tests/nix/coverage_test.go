package nix

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// leftOut are the behaviours that no test here has, and why.
func leftOut() map[string]string {
	const (
		base  = "needs a base image, which terrine does not take yet"
		merge = "needs mergeImages, which waits for base images"
		shell = "needs nixpkgs' stdenv: there is no nix-shell image"
	)
	reasons := map[string]string{"D62": "needs NixOS, to activate its /etc"}
	for reason, rows := range map[string][]int{
		base:  {23, 25, 30, 31, 33, 34, 35, 36, 37, 38, 41, 56},
		merge: {50, 51, 52, 53, 55},
		shell: {66, 67, 68, 69, 70, 71, 72, 73, 74},
	} {
		for _, n := range rows {
			reasons[fmt.Sprintf("D%d", n)] = reason
		}
	}
	return reasons
}

// TestEveryBehaviourHasItsPlace: each of the 78 is the row of a test, is named by
// one that tests it as well, or is left out for a reason, which docs/nix.md tells.
func TestEveryBehaviourHasItsPlace(t *testing.T) {
	places := map[string]int{}
	for _, b := range behaviours("0") {
		for _, n := range regexp.MustCompile(`\bD[0-9]+\b`).FindAllString(strings.Split(b.n, "-")[0]+" "+b.phrase, -1) {
			places[n]++
		}
	}
	documentation := read(t, "../../docs/nix.md")
	for n, reason := range leftOut() {
		places[n]++
		if !strings.Contains(documentation, reason) {
			t.Errorf("docs/nix.md does not say %q", reason)
		}
	}
	for n := 1; n <= 78; n++ {
		if places[fmt.Sprintf("D%d", n)] == 0 {
			t.Errorf("D%d is neither tested nor left out", n)
		}
		delete(places, fmt.Sprintf("D%d", n))
	}
	if len(places) > 0 {
		t.Errorf("there are no such behaviours: %v", places)
	}
}
