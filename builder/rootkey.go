package builder

import (
	"bufio"
	"context"
	"crypto/sha256"
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
func rootKey(o *rootfs.Options, c *store.Closure, onDisk []string, mtime int64) (digest.Digest, error) {
	head := struct {
		Format, Tree int
		Mtime        int64
	}{layer.Format, rootFormat, mtime}
	tail := struct {
		Contents, Presets, OnDisk []string
		Closure                   []string // nil if it is not joined
		Recorded                  string
		FakeNss                   *rootfs.FakeNss
		ExpandLinks               bool
		Tmp, ConflictsFail        bool // a build that fails is remembered under no key
		Files                     []rootfs.FileSpec
		Perms                     []rootfs.Perm
	}{OnDisk: onDisk, ExpandLinks: o.ExpandLinks, FakeNss: o.FakeNss, Tmp: o.Tmp, ConflictsFail: o.ConflictsFail, Files: slices.Clone(o.Files), Perms: o.Perms}
	for i := range tail.Files {
		if f := &tail.Files[i]; isOnDisk(o, f) {
			f.Source = "on disk"
		}
	}
	if o.Recorded != nil {
		tail.Recorded = string(o.Recorded.Path) + " " + o.Recorded.NARHash.String()
	}
	for i := range o.Contents {
		tail.Contents = append(tail.Contents, string(o.Contents[i].Path))
	}
	if o.Closure != nil {
		tail.Closure = []string{}
	}
	for i := range o.Closure {
		tail.Closure = append(tail.Closure, string(o.Closure[i].Path))
	}
	for _, preset := range []*store.Object{o.CACertificates, o.BinSh, o.UsrBinEnv} {
		if preset == nil {
			preset = &store.Object{}
		}
		tail.Presets = append(tail.Presets, string(preset.Path))
	}
	return hashJSON(head, c, tail)
}

// hashJSON returns the digest of an object with the fields of head, a field Objects that
// holds path and NAR hash of each path of c, and the fields of tail. There may be very
// many paths, so it is never there as a whole.
func hashJSON(head any, c *store.Closure, tail any) (digest.Digest, error) {
	first, err := json.Marshal(head)
	if err != nil {
		return "", err
	}
	last, err := json.Marshal(tail)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	w := bufio.NewWriter(hash)
	w.Write(first[:len(first)-1])
	w.WriteString(`,"Objects":`)
	if c.Len() == 0 {
		w.WriteString("null,")
	}
	for i := range c.Len() {
		text, err := json.Marshal([2]string{string(c.Path(i)), c.NARHash(i).String()})
		if err != nil {
			return "", err
		}
		separator := ","
		if i == 0 {
			separator = "["
		}
		w.WriteString(separator)
		w.Write(text)
	}
	if c.Len() > 0 {
		w.WriteString("],")
	}
	w.Write(last[1:])
	if err := w.Flush(); err != nil {
		return "", err
	}
	return digest.NewDigest(digest.SHA256, hash), nil
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
