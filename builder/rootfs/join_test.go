package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
)

// joinCase is contents a, b, c… and what they make.
type joinCase struct {
	name      string
	objects   map[string][]string // contents are those of one letter, in order
	others    map[string][]string // store objects that are no contents
	want      string
	conflicts []string
}

var joinCases = []joinCase{
	{
		name:    "directories are real, files and links are links",
		objects: map[string][]string{"a": {"bin/sh* x", "bin/bash -> sh", "share/empty/", "etc/x -> /etc/nowhere"}},
		want: `
			755 bin/
			bin/bash -> @a/bin/bash
			bin/sh -> @a/bin/sh
			755 etc/
			etc/x -> /etc/nowhere
			755 share/
			755 share/empty/`,
	},
	{
		name:    "order is that of components, not of bytes",
		objects: map[string][]string{"a": {"a/b x", "a-b x", "a.c x", "a0/z x", "A x"}},
		want: `
			A -> @a/A
			755 a/
			a/b -> @a/a/b
			a-b -> @a/a-b
			a.c -> @a/a.c
			755 a0/
			a0/z -> @a/a0/z`,
	},
	{
		name:    "directories of several contents are one",
		objects: map[string][]string{"a": {"bin/a x"}, "b": {"bin/b x", "lib/"}, "c": {"bin/c x"}},
		want: `
			755 bin/
			bin/a -> @a/bin/a
			bin/b -> @b/bin/b
			bin/c -> @c/bin/c
			755 lib/`,
	},
	{
		name:      "the first of two files wins",
		objects:   map[string][]string{"a": {"x one"}, "b": {"x two"}, "c": {"x three"}},
		want:      "x -> @a/x",
		conflicts: []string{"/x: @a is used, not the different one of @b, @c"},
	},
	{
		name:    "equal bytes are no conflict",
		objects: map[string][]string{"a": {"x one"}, "b": {"x one"}},
		want:    "x -> @a/x",
	},
	{
		name:      "equal bytes, one executable",
		objects:   map[string][]string{"a": {"x one"}, "b": {"x* one"}},
		want:      "x -> @a/x",
		conflicts: []string{"/x: @a is used, not the different one of @b"},
	},
	{
		name:    "equal targets are no conflict",
		objects: map[string][]string{"a": {"x -> y"}, "b": {"x -> y"}},
		want:    "x -> y",
	},
	{
		name:    "a link to a file of other contents",
		objects: map[string][]string{"a": {"bin/python3 -> python3.11", "bin/l -> ../../x"}, "b": {"bin/python3.11* x"}},
		want: `
			755 bin/
			bin/l -> ../../x
			bin/python3 -> python3.11
			bin/python3.11 -> @b/bin/python3.11`,
	},
	{
		name:      "different targets that lead nowhere",
		objects:   map[string][]string{"a": {"x -> y"}, "b": {"x -> z"}},
		want:      "x -> y",
		conflicts: []string{"/x: @a is used, not the different one of @b"},
	},
	{
		name:    "a file and a link to an equal one",
		objects: map[string][]string{"a": {"x one"}, "b": {"x -> y/z", "y/z one"}},
		want: `
			x -> @a/x
			755 y/
			y/z -> @b/y/z`,
	},
	{
		name:    "two links to one file elsewhere in the store",
		objects: map[string][]string{"a": {"x -> @q/f"}, "b": {"x -> ../" + strings.Repeat("0", 31) + "q-q/f"}},
		others:  map[string][]string{"q": {"f one"}},
		want:    "x -> @a/x",
	},
	{
		name:      "a file and a link out of the store",
		objects:   map[string][]string{"a": {"x one"}, "b": {"x -> /etc/passwd"}},
		want:      "x -> @a/x",
		conflicts: []string{"/x: @a is used, not the different one of @b"},
	},
	{
		name:      "a directory and a file",
		objects:   map[string][]string{"a": {"x/y one"}, "b": {"x two"}},
		want:      "755 x/\nx/y -> @a/x/y",
		conflicts: []string{"/x: @a is used, not the different one of @b"},
	},
	{
		name:      "a file and a directory",
		objects:   map[string][]string{"a": {"x two"}, "b": {"x/y one"}},
		want:      "x -> @a/x",
		conflicts: []string{"/x: @a is used, not the different one of @b"},
	},
	{
		name:    "what packages tell Nix is no conflict",
		objects: map[string][]string{"a": {"nix-support/depends one"}, "b": {"nix-support/depends two", "nix-support/more x"}},
		want: `
			755 nix-support/
			nix-support/depends -> @a/nix-support/depends
			nix-support/more -> @b/nix-support/more`,
	},
}

var linkCases = []joinCase{
	{
		name:    "a directory and a link to a directory",
		objects: map[string][]string{"a": {"lib64/a x"}, "b": {"lib/b x", "lib64 -> lib"}},
		want: `
			755 lib/
			lib/b -> @b/lib/b
			755 lib64/
			lib64/a -> @a/lib64/a
			lib64/b -> @b/lib/b`,
	},
	{
		name:    "a link to a directory and a directory",
		objects: map[string][]string{"a": {"bin -> usr/bin", "usr/bin/a x"}, "b": {"bin/b x", "usr/bin/c x"}},
		want: `
			755 bin/
			bin/a -> @a/usr/bin/a
			bin/b -> @b/bin/b
			755 usr/
			755 usr/bin/
			usr/bin/a -> @a/usr/bin/a
			usr/bin/c -> @b/usr/bin/c`,
	},
	{
		name:    "two links with one target, to directories of their own",
		objects: map[string][]string{"a": {"lib/a x", "lib64 -> lib"}, "b": {"lib/b x", "lib64 -> lib"}},
		want: `
			755 lib/
			lib/a -> @a/lib/a
			lib/b -> @b/lib/b
			755 lib64/
			lib64/a -> @a/lib/a
			lib64/b -> @b/lib/b`,
	},
	{
		name:    "two links with one target, which only the second has",
		objects: map[string][]string{"a": {"lib64 -> lib"}, "b": {"lib/b x", "lib64 -> lib"}},
		want:    "755 lib/\nlib/b -> @b/lib/b\nlib64 -> lib",
	},
	{
		name:    "two links to one directory",
		objects: map[string][]string{"a": {"d -> @q/d"}, "b": {"d -> @q/d"}},
		others:  map[string][]string{"q": {"d/x x"}},
		want:    "d -> @a/d",
	},
	{
		name:    "links to directories of other store objects",
		objects: map[string][]string{"a": {"d -> @q/d"}, "b": {"d -> @p"}, "c": {"d/c x"}},
		others:  map[string][]string{"q": {"d/o x"}, "p": {"p/q x"}},
		want: `
			755 d/
			d/c -> @c/d/c
			d/o -> @q/d/o
			755 d/p/
			d/p/q -> @p/p/q`,
	},
	{
		name:      "conflicts in joined directories name who is in the way",
		objects:   map[string][]string{"a": {"d -> @q"}, "b": {"d/x one"}},
		others:    map[string][]string{"q": {"x two"}},
		want:      "755 d/\nd/x -> @q/x",
		conflicts: []string{"/d/x: @a is used, not the different one of @b"},
	},
	{
		name:    "links to directories that are alone stay links",
		objects: map[string][]string{"a": {"lib/x x", "lib64 -> lib"}, "b": {"share/y x"}},
		want: `
			755 lib/
			lib/x -> @a/lib/x
			lib64 -> @a/lib64
			755 share/
			share/y -> @b/share/y`,
	},
	{
		name:      "a directory and a link to itself, and around it",
		objects:   map[string][]string{"a": {"d/e/x x"}, "b": {"d/e -> .", "f -> f"}, "c": {"d/e -> ..", "f/"}},
		want:      "755 d/\n755 d/e/\nd/e/x -> @a/d/e/x\nf -> f",
		conflicts: []string{"/d/e: @a is used, not the different one of @b, @c", "/f: @b is used, not the different one of @c"},
	},
	{
		name:      "a directory and a link out of the store",
		objects:   map[string][]string{"a": {"etc/x x"}, "b": {"etc -> /etc"}, "c": {"etc -> ../../../etc"}},
		want:      "755 etc/\netc/x -> @a/etc/x",
		conflicts: []string{"/etc: @a is used, not the different one of @b, @c"},
	},
}

func TestJoin(t *testing.T) {
	for _, c := range append(joinCases, linkCases...) {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			var contents []string
			for _, name := range strings.Split("abc", "") {
				if lines, ok := c.objects[name]; ok {
					f.object(name, lines...)
					contents = append(contents, name)
				}
			}
			for name, lines := range c.others {
				f.object(name, lines...)
			}
			tree, err := f.build(Options{}, contents...)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSpace(strings.ReplaceAll(c.want, "\t", "")) + "\n"
			if diff := cmp.Diff(want, f.list(tree)); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
			var conflicts []string
			for _, conflict := range tree.Conflicts() {
				conflicts = append(conflicts, f.short(conflict.String()))
			}
			if diff := cmp.Diff(c.conflicts, conflicts); diff != "" {
				t.Errorf("conflicts (-want +got):\n%s", diff)
			}
			_, err = f.build(Options{ConflictsFail: true}, contents...)
			if len(c.conflicts) > 0 && (err == nil || fault.CodeOf(err) != fault.Refused || !strings.Contains(f.short(err.Error()), c.conflicts[0])) {
				t.Errorf("conflicts as errors: %v", err)
			}
			if len(c.conflicts) == 0 && err != nil {
				t.Errorf("conflicts as errors: %v", err)
			}
		})
	}
}

// Links that multiply end, one way or another, and soon.
func TestJoinEndsForLinksInCircles(t *testing.T) {
	f := newFixture(t)
	f.object("a", "x -> @b", "y -> @b", "z -> @b")
	f.object("b", "x -> @a", "y -> @a", "z -> @a")
	f.object("c", "x/x/x/x/x/x/x/x/x/x/x/x/f x", "y/z/y/x x")
	f.object("d", "x -> x", "y -> z", "z -> y")
	tree, err := f.build(Options{}, "a", "b", "c", "d")
	if err == nil && len(entries(t, tree)) > 1<<20 {
		t.Errorf("%d entries", len(entries(t, tree)))
	}
}

func TestContentsRoot(t *testing.T) {
	f := newFixture(t)
	f.object("a", "d/x one")
	f.object("l", " -> @a/d")
	f.object("m", " -> "+strings.Repeat("0", 31)+"l-l")
	f.object("f", " text")
	f.object("n", " -> @f")
	f.object("g", " -> /etc")
	f.object("h", " -> h")
	f.object("i")
	for _, test := range []struct{ name, want, err string }{
		{"l", "x -> @a/d/x\n", ""},
		{"m", "x -> @a/d/x\n", ""},
		{"i", "", ""},
		{"f", "", "@f: it is not a directory"},
		{"n", "", "@n: it is not a directory"},
		{"g", "", "@g: it is a symbolic link that leads to nothing in the store"},
		{"h", "", "@h: it is a symbolic link that leads to nothing in the store"},
	} {
		tree, err := f.build(Options{}, test.name)
		if test.err != "" {
			if err == nil || !strings.Contains(f.short(err.Error()), test.err) || fault.CodeOf(err) != fault.Refused {
				t.Errorf("%s: %v, want %q", test.name, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if got := f.list(tree); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	o := f.objs["a"]
	o.Path = "/gnu/store/" + "00000000000000000000000000000000-x"
	if _, err := f.build(Options{Contents: []store.Object{o}}); err == nil || !strings.Contains(err.Error(), "not in the store directory") {
		t.Errorf("contents of another store: %v", err)
	}
}

// What cannot stand in an image is refused by name.
func TestJoinRefuses(t *testing.T) {
	for _, test := range []struct {
		name, want string
		make       func(root string) error
	}{
		{"fifo", "@a/d/pipe: it is neither file, directory nor symbolic link", func(root string) error { return syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644) }},
		{"socket", "@a/d/sock: it is neither", func(root string) error {
			return syscall.Mknod(filepath.Join(root, "sock"), syscall.S_IFSOCK|0o644, 0)
		}},
		{"whiteout", `"d/.wh.x"`, func(root string) error { return os.WriteFile(filepath.Join(root, ".wh.x"), nil, 0o644) }},
		{"whiteout directory", `"d/.wh..wh..opq"`, func(root string) error { return os.Mkdir(filepath.Join(root, ".wh..wh..opq"), 0o755) }},
	} {
		f := newFixture(t)
		obj := f.object("a", "d/")
		f.check(test.make(filepath.Join(f.dir, obj.Path.Base(), "d")))
		_, err := f.build(Options{}, "a")
		if err == nil || !strings.Contains(f.short(err.Error()), test.want) || !strings.Contains(f.short(err.Error()), "join contents @a") || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	f := newFixture(t)
	f.object("a", "nix/var/x x", "nix/store/x x")
	if _, err := f.build(Options{}, "a"); err == nil || !strings.Contains(err.Error(), `"nix/store"`) {
		t.Errorf("contents in the store directory: %v", err)
	}
}

// Names are bytes.
func TestJoinKeepsNames(t *testing.T) {
	f := newFixture(t)
	names := []string{"\n", " ", "\\", "a\xffb", "a\xfeb", "\x1b]0;x\a", "e\u0301", "\u00e9", strings.Repeat("n", 255), "-rf", "..."}
	obj := f.object("a")
	for _, name := range names {
		f.check(os.WriteFile(filepath.Join(f.dir, obj.Path.Base(), name), []byte("x"), 0o444))
	}
	tree, err := f.build(Options{}, "a")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, e := range entries(t, tree) {
		got[e.Name] = e.Link
	}
	for _, name := range names {
		if want := string(obj.Path) + "/" + name; got[name] != want {
			t.Errorf("%q -> %q, want %q", name, got[name], want)
		}
	}
	if len(got) != len(names) {
		t.Errorf("%d entries, want %d", len(got), len(names))
	}
}
