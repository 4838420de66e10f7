package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/rootfs"
	"terrine/store"
	"terrine/store/nar"
)

// rootFormat changes when rootfs.Build makes another tree of the same options.
const rootFormat = 2

// rootKey returns the key of the root layer that o makes. What stands in the
// store is said by its NAR hash; onDisk are the hashes of files from elsewhere,
// which say all of them: where they lie depends on the machine, and on the
// directory that the command runs in.
func rootKey(o *rootfs.Options, objects []store.Object, onDisk []string, mtime int64) (digest.Digest, error) {
	key := struct {
		Format, Tree              int
		Mtime                     int64
		Objects                   [][2]string
		Contents, Presets, OnDisk []string
		Closure                   []string // nil if it is not joined
		Recorded                  string
		FakeNss                   *rootfs.FakeNss
		ExpandLinks               bool
		Tmp, ConflictsFail        bool // a build that fails is remembered under no key
		Files                     []rootfs.FileSpec
		Perms                     []rootfs.Perm
	}{Format: layer.Format, Tree: rootFormat, Mtime: mtime, OnDisk: onDisk, ExpandLinks: o.ExpandLinks, FakeNss: o.FakeNss, Tmp: o.Tmp, ConflictsFail: o.ConflictsFail, Files: slices.Clone(o.Files), Perms: o.Perms}
	for i := range key.Files {
		if f := &key.Files[i]; isOnDisk(o, f) {
			f.Source = "on disk"
		}
	}
	for i := range objects {
		key.Objects = append(key.Objects, [2]string{string(objects[i].Path), objects[i].NARHash.String()})
	}
	if o.Recorded != nil {
		key.Recorded = string(o.Recorded.Path) + " " + o.Recorded.NARHash.String()
	}
	for i := range o.Contents {
		key.Contents = append(key.Contents, string(o.Contents[i].Path))
	}
	if o.Closure != nil {
		key.Closure = []string{}
	}
	for i := range o.Closure {
		key.Closure = append(key.Closure, string(o.Closure[i].Path))
	}
	for _, preset := range []*store.Object{o.CACertificates, o.BinSh, o.UsrBinEnv} {
		if preset == nil {
			preset = &store.Object{}
		}
		key.Presets = append(key.Presets, string(preset.Path))
	}
	text, err := json.Marshal(key)
	return digest.FromBytes(text), err
}

// isOnDisk reports whether f is copied from outside the store.
func isOnDisk(o *rootfs.Options, f *rootfs.FileSpec) bool {
	_, _, err := o.StoreDir.SplitPath(f.Source)
	return f.Source != "" && err != nil
}

// hashOnDisk returns the NAR hashes of the files that the root layer takes from
// outside the store.
func hashOnDisk(ctx context.Context, o *rootfs.Options) (hashes []string, err error) {
	for i := range o.Files {
		f := &o.Files[i]
		if !isOnDisk(o, f) {
			continue
		}
		source, err := filepath.EvalSymlinks(f.Source)
		if err != nil {
			return nil, fmt.Errorf("hash file %q: %w", f.Path, err)
		}
		hash, _, err := nar.Hash(ctx, source)
		if err != nil {
			return nil, fmt.Errorf("hash file %q: %w", f.Path, err)
		}
		hashes = append(hashes, hash.String())
	}
	return hashes, nil
}

// sourcesStay reports whether the files that the root layer takes from outside the
// store are still those that its key speaks of. What was packed meanwhile may be of
// neither state, so nothing is remembered of it unless they are.
func (p *Plan) sourcesStay(ctx context.Context) bool {
	now, err := hashOnDisk(ctx, &p.root)
	return err == nil && slices.Equal(now, p.onDisk)
}
