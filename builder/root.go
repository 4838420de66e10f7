package builder

import (
	"context"
	"encoding/json"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/rootfs"
	"terrine/store"
	"terrine/store/nar"
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
	}
	if err := r.require(ctx, s.storePaths()...); err != nil {
		return o, err
	}
	for i := range s.Contents {
		object, err := r.content(ctx, &s.Contents[i])
		if err != nil {
			return o, err
		}
		o.Contents = append(o.Contents, *object)
	}
	for _, preset := range []struct {
		content *Content
		object  **store.Object
	}{{s.CACertificates, &o.CACertificates}, {s.BinSh, &o.BinSh}, {s.UsrBinEnv, &o.UsrBinEnv}} {
		if preset.content == nil {
			continue
		}
		if *preset.object, err = r.content(ctx, preset.content); err != nil {
			return o, err
		}
	}
	if err := s.requireMentions(ctx, r); err != nil {
		return o, err
	}
	o.StoreDir = r.dir()
	o.Find = func(p store.Path) (store.Object, bool) {
		object, ok := r.objects[p]
		return object, ok
	}
	return o, nil
}

// rootFormat changes when rootfs.Build makes another tree of the same options.
const rootFormat = 1

// rootKey returns the key of the root layer that o makes. What stands in the
// store is said by its NAR hash; files from elsewhere on disk are read.
func rootKey(ctx context.Context, o *rootfs.Options, objects []store.Object, mtime int64) (digest.Digest, error) {
	key := struct {
		Format, Tree              int
		Mtime                     int64
		Objects                   [][2]string
		Contents, Presets, OnDisk []string
		FakeNss                   *rootfs.FakeNss
		Tmp                       bool
		Files                     []rootfs.FileSpec
		Perms                     []rootfs.Perm
	}{Format: layer.Format, Tree: rootFormat, Mtime: mtime, FakeNss: o.FakeNss, Tmp: o.Tmp, Files: o.Files, Perms: o.Perms}
	for i := range objects {
		key.Objects = append(key.Objects, [2]string{string(objects[i].Path), objects[i].NARHash.String()})
	}
	for i := range o.Contents {
		key.Contents = append(key.Contents, string(o.Contents[i].Path))
	}
	for _, preset := range []*store.Object{o.CACertificates, o.BinSh, o.UsrBinEnv} {
		if preset == nil {
			preset = &store.Object{}
		}
		key.Presets = append(key.Presets, string(preset.Path))
	}
	for _, f := range o.Files {
		if _, _, err := o.StoreDir.SplitPath(f.Source); f.Source == "" || err == nil {
			continue
		}
		hash, _, err := nar.Hash(ctx, f.Source)
		if err != nil {
			return "", err
		}
		key.OnDisk = append(key.OnDisk, hash.String())
	}
	text, err := json.Marshal(key)
	return digest.FromBytes(text), err
}

// storePaths returns the store paths that the spec names as such.
func (s *Spec) storePaths() (paths []store.Path) {
	for _, c := range s.Contents {
		if c.StorePath != "" {
			paths = append(paths, c.StorePath)
		}
	}
	for _, preset := range []*Content{s.CACertificates, s.BinSh, s.UsrBinEnv} {
		if preset != nil && preset.StorePath != "" {
			paths = append(paths, preset.StorePath)
		}
	}
	return paths
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
	object := r.objects[path]
	return &object, nil
}

// requireMentions finds the closures of the store paths that the config and the
// files of the root layer mention: what runs in the image will look for them.
func (s *Spec) requireMentions(ctx context.Context, r *resolver) error {
	if !s.IncludeStorePaths {
		return nil
	}
	dir := r.dir()
	mentions := s.ConfigPaths(dir)
	for _, f := range s.Files {
		mentions = append(mentions, FindStorePaths(dir, f.Link)...)
		mentions = append(mentions, FindStorePaths(dir, string(f.Text))...)
	}
	for _, p := range sortedPaths(mentions) {
		if err := r.mention(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// dir returns the store directory of what was found so far.
func (r *resolver) dir() store.Dir {
	for p := range r.objects {
		return p.Dir() // oneStoreDir sees to it that they are all the same
	}
	for p := range r.given {
		return p.Dir()
	}
	return store.DefaultDir
}
