package builder

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"terrine/builder/nixdb"
	"terrine/builder/rootfs"
	"terrine/store"
)

// recorded finds the tree that the spec says was recorded, and the closure of
// what the tree refers to. The tree itself is no part of the image: its files
// are those of the root layer.
func (r *resolver) recorded(ctx context.Context, tree store.Path) (*store.Object, error) {
	if err := r.require(ctx, tree); err != nil {
		return nil, err
	}
	object, _ := r.object(tree)
	r.forget(tree)
	return &object, nil
}

// nixDirs are the directories that a Nix inside the image wants to write to.
var nixDirs = [...]string{"nix", "nix/var", "nix/var/nix", "nix/var/nix/db", "nix/var/nix/gcroots", "nix/var/nix/gcroots/docker", "nix/var/nix/profiles", "nix/var/nix/temproots"}

// nixFiles returns the files by which a Nix inside the image knows that objects
// are valid, and keeps them. They belong to whom the store of the image does.
func (s *Spec) nixFiles(closure *store.Closure) ([]rootfs.FileSpec, error) {
	infos := closure.Infos()
	db, err := nixdb.Build(infos)
	if err != nil {
		return nil, err
	}
	var files []rootfs.FileSpec
	for _, dir := range nixDirs {
		files = append(files, rootfs.FileSpec{Path: dir, Directory: true})
	}
	files = append(files,
		rootfs.FileSpec{Path: "nix/var/nix/db/db.sqlite", Text: db},
		rootfs.FileSpec{Path: "nix/var/nix/db/schema", Text: []byte(nixdb.Schema)})
	for _, root := range slices.Sorted(slices.Values(store.Tops(infos))) {
		files = append(files, rootfs.FileSpec{Path: path.Join("nix/var/nix/gcroots/docker", root.Base()), Link: string(root)})
	}
	for i := range files {
		files[i].UID, files[i].GID = &s.UID, &s.GID
	}
	return files, nil
}

// addNixFiles puts the files of Nix before those of the spec, which win.
func (s *Spec) addNixFiles(o *rootfs.Options, closure *store.Closure) error {
	if !s.IncludeNixDB {
		return nil
	}
	files, err := s.nixFiles(closure)
	if err != nil {
		return err
	}
	o.Files = slices.Concat(files, o.Files)
	return nil
}

// checkDatabase refuses a database of store paths that the image lacks.
func (p *Plan) checkDatabase() error {
	if !p.spec.IncludeNixDB {
		return nil
	}
	here := make(map[string]bool, p.objects.Len())
	for _, path := range p.layering.Exclude { // the base has them
		here[path] = true
	}
	for i := range p.Layers {
		for _, path := range p.Layers[i].Paths() {
			here[string(path)] = true
		}
	}
	var missing []string
	for i := range p.objects.Len() {
		if path := string(p.objects.Path(i)); !here[path] {
			missing = append(missing, path)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	const shown = 3
	names := strings.Join(missing[:min(shown, len(missing))], ", ")
	if more := len(missing) - shown; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return refused(fmt.Errorf("plan layers: includeNixDB: the database would name what layering.pipeline removes: %s", names))
}

// RootTree makes the tree of the root layer, and nothing else of the image.
func (p *Plan) RootTree(ctx context.Context) (*rootfs.Tree, error) { return rootfs.Build(ctx, p.root) }
