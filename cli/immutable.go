package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"terrine/store"
	"terrine/store/fault"
)

// checkOutput refuses an output that lies in a store object, or would become one:
// what is in a store does not change. what is the flag that names it. A builder
// that Nix runs may write its own outputs.
func (a *app) checkOutput(what, name string) error {
	if name == "" || name == "-" {
		return nil
	}
	object := a.objectOf(leadsTo(name))
	if object == "" || slices.Contains(a.nixOutputs(), filepath.Base(object)) {
		return nil
	}
	err := usagef("%s %s: the store object %s must not change", what, name, object)
	return fault.Hint(err, "write it elsewhere; terrine store add makes a store object of it")
}

// maxLinks is how many symlinks the system follows.
const maxLinks = 40

// leadsTo returns what a name that need not exist leads to, as the system would
// follow it: what is above a directory that a symlink leads to is not what is above
// the symlink.
func leadsTo(name string) string {
	if !filepath.IsAbs(name) {
		dir, err := os.Getwd()
		if err != nil {
			return filepath.Clean(name)
		}
		name = dir + "/" + name
	}
	for range maxLinks {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			return real
		}
		dir, base := splitLast(name)
		if base == "" || base == ".." {
			break
		}
		dir = leadsToDirectory(dir)
		name = filepath.Join(dir, base)
		to, err := os.Readlink(name)
		if err != nil {
			break
		}
		if name = to; !filepath.IsAbs(to) {
			name = dir + "/" + to
		}
	}
	return filepath.Clean(name)
}

// splitLast takes the last element off a path, and changes nothing else of it.
func splitLast(path string) (dir, base string) {
	dir, base = filepath.Split(strings.TrimRight(path, "/"))
	return strings.TrimRight(dir, "/") + "/", base
}

// leadsToDirectory is leadsTo for a directory of which the end may be missing.
func leadsToDirectory(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	up, base := splitLast(dir)
	if base == "" {
		return up
	}
	return filepath.Join(leadsToDirectory(up), base)
}

// objectOf returns the path on disk of the store object that a path is in, or "".
// A store, ours and Nix's, wherever its root is, keeps its objects in nix/store;
// with another directory Nix says so.
func (a *app) objectOf(path string) string {
	dirs := []string{string(store.DefaultDir)}
	for _, name := range [...]string{"NIX_STORE", "NIX_STORE_DIR"} {
		if dir := a.Getenv(name); filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	for i, dir := range dirs {
		dirs[i] = leadsToDirectory(filepath.Clean(dir))
	}
	for object := path; ; object = filepath.Dir(object) {
		dir := filepath.Dir(object)
		if dir == object {
			return ""
		}
		if _, err := store.DefaultDir.Join(filepath.Base(object)); err != nil {
			continue
		}
		if slices.Contains(dirs, dir) || strings.HasSuffix(dir, string(store.DefaultDir)) {
			return object
		}
	}
}

// nixOutputs returns the base names of the outputs of the derivation that Nix builds
// with this process; none in a process that no builder has started.
func (a *app) nixOutputs() []string {
	top := a.Getenv("NIX_BUILD_TOP")
	if top == "" {
		return nil
	}
	var bases []string
	for _, name := range append(strings.Fields(a.Getenv("outputs")), "out") {
		if path := a.Getenv(name); path != "" {
			bases = append(bases, filepath.Base(path))
		}
	}
	for _, file := range [...]string{a.Getenv("NIX_ATTRS_JSON_FILE"), filepath.Join(top, ".attrs.json")} {
		bases = append(bases, outputsIn(file)...)
	}
	return bases
}

// maxAttrs bounds the file of a derivation's attributes: one with a references
// graph of 100,000 paths has some 100 MB.
const maxAttrs = 1 << 30

// outputsIn returns the base names of the outputs in a file of attributes, none if
// it is not there or not one.
func outputsIn(file string) (bases []string) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var attrs nixAttrs
	if json.NewDecoder(io.LimitReader(f, maxAttrs)).Decode(&attrs) != nil {
		return nil
	}
	for _, path := range attrs.Outputs {
		bases = append(bases, filepath.Base(path))
	}
	return bases
}
