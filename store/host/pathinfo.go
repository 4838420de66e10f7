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
		listed, err = infos(newGraphReader(r).read(""))
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
