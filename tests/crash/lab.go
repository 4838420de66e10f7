//go:build linux

package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"terrine/store"
	testlab "terrine/tests/lab"
)

// Lab is where crashes are made: a terrine binary, and what it is given.
type Lab struct {
	Terrine string // the binary
	Dir     string // scratch, on a disk or in memory

	tree    string // a directory to add
	tarball string // the same to unpack
	stream  string // an export to import
	spec    string // an image to build
	image   [sha256.Size]byte
	base    string     // a store to start from
	kept    store.Path // rooted in it
	dead    []store.Path
	added   store.Path // what tree becomes
}

// NewLab builds terrine, and makes in dir what its commands need.
func NewLab(ctx context.Context, dir string) (*Lab, error) {
	l := &Lab{Dir: dir, Terrine: filepath.Join(dir, "terrine")}
	if err := testlab.Build(ctx, l.Terrine); err != nil {
		return nil, err
	}
	l.tree, l.stream, l.spec = filepath.Join(dir, "tree"), filepath.Join(dir, "stream"), filepath.Join(dir, "image.json")
	l.base, l.tarball = filepath.Join(dir, "base"), l.tree+".tar"
	if err := l.makeInputs(ctx); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	return l, l.makeImage(ctx)
}

func (l *Lab) makeInputs(ctx context.Context) error {
	err := errors.Join(
		writeTree(l.tree, map[string]string{"a": "1", "d/b": strings.Repeat("2", 100_000), "d/e/c": "3"}),
		os.Symlink("d/b", filepath.Join(l.tree, "d/link")),
		os.Link(filepath.Join(l.tree, "d/b"), filepath.Join(l.tree, "d/same")),
		l.makeStream(ctx),
		run(ctx, "tar", "-C", l.tree, "-cf", l.tarball, "."),
	)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, l.base, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(l.makeBase(ctx, s), s.Close())
}

// makeBase fills the store that scenarios start from: two paths with a root,
// three without, and what a process that was killed has left.
func (l *Lab) makeBase(ctx context.Context, s *store.Store) error {
	var last store.Path
	for _, name := range []string{"one", "two", "dead-1", "dead-2", "dead-3"} {
		dir := filepath.Join(l.Dir, "src", name)
		if err := writeTree(dir, map[string]string{"f": name + " after " + string(last), "same": strings.Repeat("same", 1000)}); err != nil {
			return err
		}
		info, err := s.Add(ctx, dir, store.AddOptions{})
		if err != nil {
			return err
		}
		last = info.Path
		switch {
		case name == "two":
			l.kept, last = info.Path, ""
			if err := s.AddRoot(ctx, "kept", info.Path); err != nil {
				return err
			}
		case name != "one":
			l.dead = append(l.dead, info.Path)
		}
	}
	slices.Sort(l.dead)
	spec := fmt.Sprintf(`{"name": "crash", "config": {"Cmd": ["%s/f"]}}`, l.kept)
	return errors.Join(
		os.WriteFile(l.spec, []byte(spec), 0o644),
		os.MkdirAll(filepath.Join(s.RealDir(), ".tmp-1-0000-1", "d"), 0o755),
	)
}

func (l *Lab) makeStream(ctx context.Context) error {
	s, err := store.Open(ctx, filepath.Join(l.Dir, "origin"), store.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer s.Close()
	var list []store.Path
	for i, text := range []string{"x", "y", "z"} {
		dir := filepath.Join(l.Dir, "src", text)
		if i > 0 {
			text += string(list[i-1])
		}
		if err := writeTree(dir, map[string]string{"f": text, "g/h": text}); err != nil {
			return err
		}
		info, err := s.Add(ctx, dir, store.AddOptions{})
		if err != nil {
			return err
		}
		list = append(list, info.Path)
	}
	info, err := s.Add(ctx, l.tree, store.AddOptions{})
	if err != nil {
		return err
	}
	l.added = info.Path
	f, err := os.Create(l.stream)
	if err != nil {
		return err
	}
	return errors.Join(s.Export(ctx, f, list...), f.Close())
}

// makeImage builds the image once in peace, to know its bytes.
func (l *Lab) makeImage(ctx context.Context) error {
	dir, err := l.fresh()
	if err != nil {
		return err
	}
	defer remove(dir)
	cmd := l.Command(ctx, dir, "build", l.spec, "-o", filepath.Join(dir, "out", "image.tar.gz"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the image: %w\n%s", err, out)
	}
	l.image, err = sum(filepath.Join(dir, "out", "image.tar.gz"))
	return err
}

// Command returns terrine on the store, the cache and the output directory in
// dir.
func (l *Lab) Command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.Terrine, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TERRINE_STORE="+filepath.Join(dir, "store"), "TERRINE_CACHE="+filepath.Join(dir, "cache"), "NO_COLOR=1",
		"TMPDIR="+filepath.Join(dir, "tmp"))
	return cmd
}

// fresh returns a new directory with a copy of the base store.
func (l *Lab) fresh() (string, error) {
	dir, err := os.MkdirTemp(l.Dir, "run-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("cp", "-a", l.base, filepath.Join(dir, "store")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("copy the store: %w\n%s", err, out)
	}
	return dir, errors.Join(os.Mkdir(filepath.Join(dir, "out"), 0o755), os.Mkdir(filepath.Join(dir, "tmp"), 0o755))
}

// writeTree makes a directory with the given files.
func writeTree(dir string, files map[string]string) error {
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

func sum(file string) (h [sha256.Size]byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return h, err
	}
	defer f.Close()
	d := sha256.New()
	_, err = io.Copy(d, f)
	return [sha256.Size]byte(d.Sum(nil)), err
}

// remove removes a tree with directories that are not writable.
func remove(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	return errors.Join(exec.Command("chmod", "-R", "u+w", dir).Run(), os.RemoveAll(dir))
}

// problems collects what is wrong after a crash.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// check opens the store in root and looks at all of it.
func (p *problems) check(ctx context.Context, root string, acknowledged []store.Path) []store.Path {
	s, err := store.Open(ctx, root, store.Options{NoSync: true})
	if err != nil {
		p.add("open: %v", err)
		return nil
	}
	defer func() {
		if err := s.Close(); err != nil {
			p.add("close: %v", err)
		}
	}()
	for path, err := range s.Verify(ctx) {
		p.add("valid and corrupt: %s: %v", path, err)
	}
	list, err := s.List(ctx)
	if err != nil {
		p.add("list: %v", err)
		return nil
	}
	var valid []store.Path
	for _, info := range list {
		valid = append(valid, info.Path)
	}
	for _, path := range acknowledged {
		if !slices.Contains(valid, path) {
			p.add("acknowledged and lost: %s", path)
		}
	}
	return valid
}

// clean collects garbage, and looks for what is left of crashes after that.
func (p *problems) clean(ctx context.Context, root string) {
	s, err := store.Open(ctx, root, store.Options{NoSync: true})
	if err != nil {
		p.add("open: %v", err)
		return
	}
	defer s.Close()
	if _, err := s.GC(ctx, store.GCOptions{}); err != nil {
		p.add("gc: %v", err)
		return
	}
	valid := make(map[string]bool)
	list, err := s.List(ctx)
	if err != nil {
		p.add("list: %v", err)
	}
	for _, info := range list {
		valid[info.Path.Base()] = true
	}
	for _, dir := range []string{"nix/store", "nix/var/terrine/info"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			p.add("%v", err)
		}
		for _, e := range entries {
			if !valid[e.Name()] && e.Name() != ".links" {
				p.add("left in %s after gc: %s", dir, e.Name())
			}
		}
	}
}

// pathsIn returns the store paths that stand alone on lines of what a command
// has printed; the last line may be cut off.
func pathsIn(dir store.Dir, out []byte) []store.Path {
	var list []store.Path
	for line := range bytes.Lines(out) {
		if text, whole := strings.CutSuffix(string(line), "\n"); whole {
			if p, err := dir.ParsePath(text); err == nil {
				list = append(list, p)
			}
		}
	}
	return list
}
