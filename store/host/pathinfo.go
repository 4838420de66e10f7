package host

import (
	"context"
	"errors"
	"fmt"
	"io"

	"terrine/store"
)

// pathInfo is Query in one call: to start Nix takes longer than to ask it. But the
// command is experimental, and what it prints is not the same in all versions; so
// whoever gets an error asks nix-store.
func pathInfo(ctx context.Context, roots []store.Path) ([]*store.Info, error) {
	args := []string{"--extra-experimental-features", "nix-command", "path-info", "--json", "--recursive"}
	size := 0
	for _, p := range roots {
		args = append(args, string(p))
		size += len(p) + 9
	}
	if size > maxArguments {
		return nil, errors.New("too many roots for one call")
	}
	var listed []*store.Info
	err := run(ctx, "nix", args, func(r io.Reader) (err error) {
		listed, err = parsePathInfo(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	known := make(map[store.Path]bool, len(listed))
	for _, i := range listed {
		known[i.Path] = true
		i.CA, i.Signatures = "", nil // nix-store does not say them
	}
	for _, p := range roots {
		if !known[p] {
			return nil, fmt.Errorf("%s is not listed", p)
		}
	}
	return listed, nil
}

// parsePathInfo reads a closure as an array of objects, from Nix before 2.19, or as
// an object with the paths as names, from later ones.
func parsePathInfo(r io.Reader) ([]*store.Info, error) {
	g := newGraphReader(r)
	if c, err := g.peek(); err != nil || c == '[' {
		return infos(g.read(""))
	}
	if err := g.object("paths", make(map[string]bool), g.element); err != nil {
		return nil, err
	}
	return infos(g.closure())
}
