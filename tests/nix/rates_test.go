package nix

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"terrine/tests/engines"
)

// A file of rates is an input of the image like any other: its content decides,
// and not its name. Without rates the plan says nothing of them.
func TestLayeringRates(t *testing.T) {
	endToEnd(t)
	e := function(t, `let
  plan = layering: (t.buildLayeredImage { name = "rates"; contents = [ hello other ]; maxLayers = 3; inherit layering; }).plan;
in [
  (plan { rates = ./rates.json; })
  (plan { rates = builtins.toFile "b.json" (builtins.readFile ./rates.json); })
  (plan { })
]`)
	rates := `{"version": 1, "default": 0.03, "packages": {"hello": {"rate": 0.9, "builds": 20, "updates": 18}}}`
	if err := os.WriteFile(filepath.Join(filepath.Dir(e.file), "rates.json"), []byte(rates), 0o600); err != nil {
		t.Fatal(err)
	}
	outputs := engines.Nix(t, "nix-build", append([]string{"--quiet", "--no-out-link", e.file}, e.args...)...)
	var texts []string
	for _, output := range outputs {
		texts = append(texts, read(t, output))
	}
	if texts[0] != texts[1] {
		t.Errorf("the name of the file of rates decides:\n%s\n%s", texts[0], texts[1])
	}
	for i, rated := range []bool{true, true, false} {
		var plan struct {
			Expected struct {
				Pull         int64
				WithoutRates *struct{ Pull int64 }
			}
		}
		if err := json.Unmarshal([]byte(texts[i]), &plan); err != nil {
			t.Fatal(err)
		}
		if got := plan.Expected.WithoutRates; (got != nil) != rated || plan.Expected.Pull <= 0 || rated && got.Pull < plan.Expected.Pull {
			t.Errorf("plan %d is expected to pull %+v", i, plan.Expected)
		}
	}
}
