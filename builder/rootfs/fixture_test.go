package rootfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
	"terrine/tests/need"
)

// fixture is a store on disk, away from the logical /nix/store.
type fixture struct {
	t    *testing.T
	dir  string
	objs map[string]store.Object
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	need.Umask(t)
	return &fixture{t: t, dir: t.TempDir(), objs: make(map[string]store.Object)}
}

// object makes a store object of lines: "dir/" is a directory, "link -> target"
// a link, "file text" or "file* text" a file, the latter executable. An empty
// name is the object itself. @a in a target or a text is the store path of
// object a.
func (f *fixture) object(name string, lines ...string) store.Object {
	f.t.Helper()
	obj := store.Object{Info: store.Info{Path: f.path(name)}, Dir: f.dir}
	f.objs[name] = obj
	root := filepath.Join(f.dir, obj.Path.Base())
	for _, line := range lines {
		f.write(root, f.expand(line))
	}
	if _, err := os.Lstat(root); err != nil {
		f.check(os.MkdirAll(root, 0o755))
	}
	return obj
}

func (f *fixture) write(root, line string) {
	f.t.Helper()
	if rel, target, ok := strings.Cut(line, " -> "); ok {
		f.check(os.MkdirAll(filepath.Dir(filepath.Join(root, rel)), 0o755))
		f.check(os.Symlink(target, filepath.Join(root, rel)))
		return
	}
	rel, text, _ := strings.Cut(line, " ")
	if dir, ok := strings.CutSuffix(rel, "/"); ok {
		f.check(os.MkdirAll(filepath.Join(root, dir), 0o755))
		return
	}
	mode := os.FileMode(0o444)
	if plain, ok := strings.CutSuffix(rel, "*"); ok {
		rel, mode = plain, 0o555
	}
	f.check(os.MkdirAll(filepath.Dir(filepath.Join(root, rel)), 0o755))
	f.check(os.WriteFile(filepath.Join(root, rel), []byte(text), mode))
}

// path returns the store path of the object with a name of one letter.
func (f *fixture) path(name string) store.Path {
	digest := strings.Repeat("0", 31) + strings.ToLower(name[:1])
	return store.Path("/nix/store/" + digest + "-" + name)
}

// expand replaces @a by the store path of a.
func (f *fixture) expand(s string) string {
	for c := 'a'; c <= 'z'; c++ {
		s = strings.ReplaceAll(s, "@"+string(c), string(f.path(string(c))))
	}
	return s
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// find is Options.Find.
func (f *fixture) find(p store.Path) (store.Object, bool) {
	for _, obj := range f.objs {
		if obj.Path == p {
			return obj, true
		}
	}
	return store.Object{}, false
}

// build builds a tree of the named contents and what else o asks for.
func (f *fixture) build(o Options, contents ...string) (*Tree, error) {
	f.t.Helper()
	for _, name := range contents {
		obj, ok := f.objs[name]
		if !ok {
			f.t.Fatalf("no object %s", name)
		}
		o.Contents = append(o.Contents, obj)
	}
	if o.Find == nil {
		o.Find = f.find
	}
	tree, err := Build(context.Background(), o)
	if err == nil {
		_, err = tree.Entries(context.Background())
	}
	return tree, err
}

// compare builds the tree of a case from the named contents and what else o asks
// for, and compares it and its conflicts. Then it has conflicts fail.
func (f *fixture) compare(c joinCase, o Options, contents ...string) {
	f.t.Helper()
	tree, err := f.build(o, contents...)
	if err != nil {
		f.t.Fatal(err)
	}
	want := strings.TrimSpace(strings.ReplaceAll(c.want, "\t", "")) + "\n"
	if diff := cmp.Diff(want, f.list(tree)); diff != "" {
		f.t.Errorf("tree (-want +got):\n%s", diff)
	}
	var conflicts []string
	for _, conflict := range tree.Conflicts() {
		conflicts = append(conflicts, f.short(conflict.String()))
	}
	if diff := cmp.Diff(c.conflicts, conflicts); diff != "" {
		f.t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	o.ConflictsFail = true
	switch _, err := f.build(o, contents...); {
	case len(c.conflicts) == 0 && err != nil:
		f.t.Errorf("without conflicts: %v", err)
	case len(c.conflicts) > 0 && (err == nil || fault.CodeOf(err) != fault.Refused || !strings.Contains(f.short(err.Error()), c.conflicts[0])):
		f.t.Errorf("conflicts as errors: %v", err)
	}
}

// entries lists a tree that can be listed.
func entries(t *testing.T, tree *Tree) []Entry {
	t.Helper()
	all, err := tree.Entries(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// list writes a tree as lines: the mode, the name, and for a link its target,
// for a file its text or "<" and its source. Store paths are written @a.
func (f *fixture) list(t *Tree) string {
	var s strings.Builder
	for _, e := range entries(f.t, t) {
		owner := ""
		if e.UID != 0 || e.GID != 0 {
			owner = fmt.Sprintf(" %d:%d", e.UID, e.GID)
		}
		switch e.Kind {
		case Dir:
			fmt.Fprintf(&s, "%o%s %s/\n", e.Mode, owner, e.Name)
		case Symlink:
			fmt.Fprintf(&s, "%s%s -> %s\n", strings.TrimPrefix(owner+" ", " "), e.Name, e.Link)
		case File:
			text := fmt.Sprintf("%q", e.Text)
			if e.Text == nil {
				text = "< " + e.Source
			}
			fmt.Fprintf(&s, "%o%s %s %s\n", e.Mode, owner, e.Name, text)
		}
	}
	return f.short(s.String())
}

// short is the reverse of expand, and hides where the fixture lies.
func (f *fixture) short(s string) string {
	for c := 'a'; c <= 'z'; c++ {
		p := f.path(string(c))
		s = strings.ReplaceAll(s, f.dir+"/"+p.Base(), "STORE/"+string(c))
		s = strings.ReplaceAll(s, string(p), "@"+string(c))
	}
	return s
}
