package layering

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Rates are how often packages are updated by themselves, as probabilities
// between one build of an image and the next. They make update-cost better
// than it is when it takes all packages for equal. The zero value is not
// valid; see Learn and ParseRates.
//
// As JSON: {"version": 1, "default": U, "packages": {"NAME": {"rate": U,
// "builds": N, "updates": K}, …}}, where NAME is a package without its version.
type Rates struct {
	// Default is the rate of a package of 30 MB that is not listed. It is less
	// for smaller ones and more for larger, by a factor of 2^0.15 an octave.
	Default float64
	// Packages holds what is known of each, by name without version.
	Packages map[string]Rate
}

// Rate is what was learned of one package.
type Rate struct {
	// Rate is the probability that the package is updated between two builds.
	Rate float64 `json:"rate"`
	// Builds is in how many pairs of successive images it was seen.
	Builds int `json:"builds"`
	// Updates is in how many of them it had been updated.
	Updates int `json:"updates"`
}

const ratesVersion = 1

type ratesJSON struct {
	Version  int             `json:"version"`
	Default  float64         `json:"default"`
	Packages map[string]Rate `json:"packages"`
}

// MarshalJSON returns the same bytes for the same rates.
func (r *Rates) MarshalJSON() ([]byte, error) {
	return json.Marshal(ratesJSON{ratesVersion, r.Default, r.Packages})
}

// ParseRates reads rates in JSON. Unknown fields, and rates that are no
// probabilities, are errors.
func ParseRates(data []byte) (*Rates, error) {
	var doc ratesJSON
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("parse rates: %w", err)
	}
	if len(bytes.TrimSpace(data[dec.InputOffset():])) > 0 {
		return nil, errors.New("parse rates: more follows after the end")
	}
	if doc.Version != ratesVersion {
		return nil, fmt.Errorf("parse rates: version %d, want %d", doc.Version, ratesVersion)
	}
	r := &Rates{doc.Default, doc.Packages}
	return r, r.check()
}

func (r *Rates) check() error {
	if !isProbability(r.Default) {
		return fmt.Errorf("parse rates: default is %v, want a probability", r.Default)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Packages)) { // so that of several errors the same is named each time
		if p := r.Packages[name]; !isProbability(p.Rate) || p.Builds < 0 || p.Updates < 0 || p.Updates > p.Builds {
			return fmt.Errorf("parse rates: package %s: rate %v, %d updates in %d builds make no sense", name, p.Rate, p.Updates, p.Builds)
		}
	}
	return nil
}

func isProbability(u float64) bool { return u >= 0 && u <= 1 }

// of returns what is known of a path with that name, in a package of that size.
func (r *Rates) of(name string, size int64) Rate {
	if r == nil {
		return Rate{Rate: rateOfSize(defaultRate, size)}
	}
	pkg, _ := splitName(name)
	if p, known := r.Packages[pkg]; known {
		return p
	}
	return Rate{Rate: min(rateOfSize(r.Default, size), maxRate)}
}
