package cli

import (
	"context"
	"maps"
	"slices"

	"terrine/store"
)

// looking is a store for commands that say what a build would do: what a build
// would add is described, and not added.
type looking struct {
	*store.Store
	described map[store.Path]*store.Info
}

// Add returns what Store.Add would, which may refer to what was described before.
func (l *looking) Add(ctx context.Context, path string, o store.AddOptions) (*store.Info, error) {
	info, err := l.Describe(ctx, path, o, slices.Collect(maps.Keys(l.described))...)
	if err == nil {
		l.described[info.Path] = info
	}
	return info, err
}

// Hold takes what was described for valid.
func (l *looking) Hold(ctx context.Context, roots ...store.Path) (infos []*store.Info, err error) {
	var valid []store.Path
	seen := map[store.Path]bool{}
	for todo := slices.Clone(roots); len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		info := l.described[p]
		switch {
		case seen[p]:
		case info == nil:
			valid = append(valid, p)
		default:
			infos = append(infos, info)
			todo = append(todo, info.References...)
		}
		seen[p] = true
	}
	if len(valid) > 0 {
		var closure []*store.Info
		closure, err = l.Store.Hold(ctx, valid...)
		infos = append(infos, closure...)
	}
	return infos, err
}
