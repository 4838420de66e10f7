package histories_test

import (
	"testing"
	"time"

	"terrine/layering"
	"terrine/tests/histories"
)

// Hosts pull less when each plan knows the image before it: of what is pulled
// beyond the paths that changed, a tenth less at least.
func TestPreviousPullsLess(t *testing.T) {
	h, err := histories.Load("testdata/server.json")
	if err != nil {
		t.Fatal(err)
	}
	from, to := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)
	images, err := h.At(histories.Monthly(from, to))
	if err != nil {
		t.Fatal(err)
	}
	for _, budget := range []int{20, 60} {
		o := layering.Options{MaxLayers: budget}
		without, err := histories.Replay(t.Context(), images, o)
		if err != nil {
			t.Fatal(err)
		}
		with, err := histories.ReplayPrevious(t.Context(), images, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d layers: pull %.4f, chain %.4f; with the image before %.4f, %.4f", budget, without.Pull, without.Chain, with.Pull, with.Chain)
		if with.Pull-1 > 0.9*(without.Pull-1) {
			t.Errorf("%d layers: pull is %.4f, and %.4f without knowledge of the image before", budget, with.Pull, without.Pull)
		}
		if with.Chain > 1.01*without.Chain {
			t.Errorf("%d layers: chain is %.4f, and %.4f without knowledge of the image before", budget, with.Chain, without.Chain)
		}
	}
}
