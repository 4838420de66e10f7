package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"terrine/builder/rootfs"
	"terrine/store"
)

// rootOptions finds, by r, everything that the spec names, and says what the root
// layer is to be made of.
func (s *Spec) rootOptions(ctx context.Context, r *resolver) (o rootfs.Options, err error) {
	o = rootfs.Options{
		ConflictsFail: s.Conflicts == ConflictsError,
		Tmp:           s.Tmp,
		Files:         s.Files,
		Perms:         s.Perms,
		FakeNss:       s.FakeNss,
		ExpandLinks:   s.Join == JoinDirectories,
	}
	if err := r.require(ctx, s.storePaths(r.dir())...); err != nil {
		return o, err
	}
	for i := range s.Contents {
		object, err := r.content(ctx, &s.Contents[i])
		if err != nil {
			return o, fmt.Errorf("contents[%d]: %w", i, err)
		}
		o.Contents = append(o.Contents, *object)
	}
	if s.Join == JoinClosure {
		o.Closure = r.nearestFirst(o.Contents)
	}
	if err := s.presets(ctx, r, &o); err != nil {
		return o, err
	}
	if s.RootTree != "" {
		if o.Recorded, err = r.recorded(ctx, s.RootTree); err != nil {
			return o, err
		}
	}
	if err := s.requireMentions(ctx, r); err != nil {
		return o, err
	}
	o.StoreDir = r.dir()
	return o, nil
}

// presets finds what the presets of the spec link to.
func (s *Spec) presets(ctx context.Context, r *resolver, o *rootfs.Options) (err error) {
	for _, preset := range []struct {
		field   string
		content *Content
		object  **store.Object
	}{{"caCertificates", s.CACertificates, &o.CACertificates}, {"binSh", s.BinSh, &o.BinSh}, {"usrBinEnv", s.UsrBinEnv, &o.UsrBinEnv}} {
		if preset.content == nil {
			continue
		}
		if *preset.object, err = r.content(ctx, preset.content); err != nil {
			return fmt.Errorf("%s: %w", preset.field, err)
		}
	}
	return nil
}

// nearestFirst returns what contents refer to, directly or not: the nearer
// first, and of those equally near the first by name. The contents themselves
// are not among it.
func (r *resolver) nearestFirst(contents []store.Object) []store.Object {
	seen := make(map[store.Path]bool)
	for i := range contents {
		seen[contents[i].Path] = true
	}
	closure := []store.Object{}
	wave := contents
	for len(wave) > 0 {
		var next []store.Object
		for i := range wave {
			for _, ref := range wave[i].References {
				if !seen[ref] {
					seen[ref] = true
					object, _ := r.object(ref)
					next = append(next, object)
				}
			}
		}
		slices.SortFunc(next, func(a, b store.Object) int {
			return cmp.Or(cmp.Compare(a.Path.Name(), b.Path.Name()), cmp.Compare(a.Path, b.Path))
		})
		closure = append(closure, next...)
		wave = next
	}
	return closure
}

// storePaths returns the store paths that the spec names as such.
func (s *Spec) storePaths(dir store.Dir) (paths []store.Path) {
	for _, f := range s.Files {
		if p, _, err := dir.SplitPath(f.Source); err == nil {
			paths = append(paths, p)
		}
	}
	for _, c := range s.allContents() {
		if c.StorePath != "" {
			paths = append(paths, c.StorePath)
		}
	}
	return paths
}

// Sources returns the files and directories on disk that NewPlan adds to the store.
func (s *Spec) Sources() (paths []string) {
	for _, c := range s.allContents() {
		if c.StorePath == "" {
			paths = append(paths, c.Path)
		}
	}
	return paths
}

// allContents returns the contents and those of the presets.
func (s *Spec) allContents() []Content {
	all := slices.Clone(s.Contents)
	for _, preset := range []*Content{s.CACertificates, s.BinSh, s.UsrBinEnv} {
		if preset != nil {
			all = append(all, *preset)
		}
	}
	return all
}

// content finds the store object that c names, or makes it.
func (r *resolver) content(ctx context.Context, c *Content) (*store.Object, error) {
	path := c.StorePath
	var err error
	if path == "" {
		path, err = r.add(ctx, c.Path, c.Name)
	} else {
		err = r.require(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	object, _ := r.object(path)
	return &object, nil
}

// requireMentions finds the closures of the store paths that the config and the
// files of the root layer mention: what runs in the image will look for them. A
// path in the config has to be there; what looks like one in a file, or in a
// label, may be anything, as it may for Nix.
func (s *Spec) requireMentions(ctx context.Context, r *resolver) error {
	if !s.IncludeStorePaths {
		return nil
	}
	dir := r.dir()
	used, labels := s.configPaths(dir)
	for _, p := range used {
		if err := r.mention(ctx, p); err != nil {
			return fmt.Errorf("config mentions a store path: %w", err)
		}
	}
	paths, err := s.fileMentions(ctx, dir)
	if err != nil {
		return err
	}
	for _, p := range append(paths, labels...) {
		if err := r.mention(ctx, p); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// fileMentions returns what looks like a store path in the files of the root
// layer that do not come from the store.
func (s *Spec) fileMentions(ctx context.Context, dir store.Dir) ([]store.Path, error) {
	o := rootfs.Options{StoreDir: dir}
	for _, f := range s.Files {
		if _, _, err := dir.SplitPath(f.Source); err != nil {
			o.Files = append(o.Files, f)
		}
	}
	tree, err := rootfs.Build(ctx, o)
	if err != nil {
		return nil, err
	}
	entries, err := tree.Entries(ctx)
	if err != nil {
		return nil, err
	}
	return mentionedPaths(ctx, dir, entries)
}

// dir returns the store directory of what was found so far.
func (r *resolver) dir() store.Dir {
	for p := range r.found {
		return p.Dir() // oneStoreDir sees to it that they are all the same
	}
	if r.sources.Closure.Len() > 0 {
		return r.sources.Closure.Path(0).Dir()
	}
	return store.DefaultDir
}
