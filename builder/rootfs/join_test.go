package rootfs

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"terrine/store"
	"terrine/store/fault"
)

func TestJoin(t *testing.T) {
	for _, c := range slices.Concat(joinCases(), targetCases(), conflictCases(), linkCases(), distantLinkCases()) {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			for name, lines := range c.objects {
				f.object(name, lines...)
			}
			for name, lines := range c.others {
				f.object(name, lines...)
			}
			f.compare(c, c.options, slices.Sorted(maps.Keys(c.objects))...)
		})
	}
}

// TestJoinEndsForLinksInCircles: links that multiply end, and soon.
func TestJoinEndsForLinksInCircles(t *testing.T) {
	f := newFixture(t)
	f.object("a", "x -> @b", "y -> @b", "z -> @b")
	f.object("b", "x -> @a", "y -> @a", "z -> @a")
	f.object("c", "x/x/x/x/x/x/x/x/x/x/x/x/f x", "y/z/y/x x")
	f.object("d", "x -> x", "y -> z", "z -> y")
	tree, err := f.build(Options{}, "a", "b", "c", "d")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(entries(t, tree)); n > 1000 {
		t.Errorf("%d entries", n)
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
