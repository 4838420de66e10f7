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
