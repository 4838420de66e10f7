package layering

import (
	"errors"
	"fmt"
	"path"
)

// Pin puts the paths that match a pattern in a layer of their own. Pins with
// one Layer share it; of several pins that match a path the first counts.
// A pin that matches nothing makes no layer.
type Pin struct {
	// Glob is matched as by path.Match against the path's name (what follows
	// the hash), or against the whole path if it has a slash.
	Glob string
	// Layer names the layer.
	Layer string
}

// applyPins, of checked pins, returns the pinned groups, in the order of the pins, and those of
// paths that no pin took.
func (g *Graph) applyPins(paths []int32, pins []Pin) (pinned []part, free []int32) {
	layers := make([]part, 0, len(pins))
	at := make(map[string]int)
	for _, pin := range pins {
		if _, known := at[pin.Layer]; !known {
			at[pin.Layer] = len(layers)
			layers = append(layers, part{name: pin.Layer})
		}
	}
	for _, i := range paths {
		layer := layerOfPath(g.paths[i], pins)
		if layer == "" {
			free = append(free, i)
			continue
		}
		l := &layers[at[layer]]
		l.members = append(l.members, i)
	}
	for _, l := range layers {
		if len(l.members) > 0 {
			pinned = append(pinned, l)
		}
	}
	return pinned, free
}

func (p Pin) check() error {
	if p.Layer == "" {
		return errors.New("no layer is named")
	}
	if _, err := path.Match(p.Glob, ""); err != nil || p.Glob == "" {
		return fmt.Errorf("malformed pattern %q", p.Glob)
	}
	return nil
}

// layerOfPath returns the layer that the first matching pin names, or "".
func layerOfPath(p string, pins []Pin) string {
	for _, pin := range pins {
		if matches(pin.Glob, p) { // check has seen the pattern
			return pin.Layer
		}
	}
	return ""
}
