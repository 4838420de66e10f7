package layering

import (
	"errors"
	"fmt"
	"path"
	"strings"
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

// applyPins returns the pinned groups, in the order of the pins, and the
// paths that no pin took.
func (g *Graph) applyPins(pins []Pin) (pinned []part, free []int32, err error) {
	layers := make([]part, 0, len(pins))
	at := make(map[string]int)
	for i, pin := range pins {
		if err := pin.check(); err != nil {
			return nil, nil, fmt.Errorf("plan layers: pin %d: %w", i+1, err)
		}
		if _, known := at[pin.Layer]; !known {
			at[pin.Layer] = len(layers)
			layers = append(layers, part{name: pin.Layer})
		}
	}
	for i, p := range g.paths {
		layer := layerOfPath(p, pins)
		if layer == "" {
			free = append(free, int32(i))
			continue
		}
		l := &layers[at[layer]]
		l.members = append(l.members, int32(i))
	}
	for _, l := range layers {
		if len(l.members) > 0 {
			pinned = append(pinned, l)
		}
	}
	return pinned, free, nil
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
	if len(pins) == 0 {
		return ""
	}
	_, name := splitPath(p)
	for _, pin := range pins {
		subject := name
		if strings.Contains(pin.Glob, "/") {
			subject = p
		}
		if ok, _ := path.Match(pin.Glob, subject); ok { // check has seen the pattern
			return pin.Layer
		}
	}
	return ""
}
