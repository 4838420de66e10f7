package rootfs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
)

func mode(m uint32) Attributes { return Attributes{Mode: &m} }

func owner(uid, gid int) Attributes { return Attributes{UID: &uid, GID: &gid} }

// treeCase is a tree of contents a and b, and of what the options ask for.
type treeCase struct {
	name      string
	a, b      []string
	options   Options
	want      string
	conflicts []string
	err       string
}

func (c treeCase) run(t *testing.T) {
	f := newFixture(t)
	f.object("a", c.a...)
	f.object("b", c.b...)
	f.object("s", "bin/sh* x", "bin/bash* y", "usr/bin/env* z", "etc/ssl/certs/ca-bundle.crt x", "etc/link -> @a/x", "dir/x* y", "dir/l -> x")
	o := c.options
	for _, to := range []**store.Object{&o.BinSh, &o.UsrBinEnv, &o.CACertificates} {
		if *to != nil {
			obj := f.objs[(*to).Dir] // the name of the object, see use
			*to = &obj
		}
	}
	for i := range o.Files {
		o.Files[i].Source = f.expand(o.Files[i].Source)
	}
	tree, err := f.build(o, "a", "b")
	if c.err != "" {
		if err == nil || !strings.Contains(f.short(err.Error()), c.err) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("error %v (class %d), want %q", err, fault.CodeOf(err), c.err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(strings.ReplaceAll(c.want, "\t", ""))+"\n", f.list(tree)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	var conflicts []string
	for _, conflict := range tree.Conflicts() {
		conflicts = append(conflicts, f.short(conflict.String()))
	}
	if diff := cmp.Diff(c.conflicts, conflicts); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
}

// use stands for an object of the fixture that does not exist yet.
func use(name string) *store.Object { return &store.Object{Dir: name} }

var presetCases = []treeCase{
	{
		name:    "fakeNss",
		options: Options{FakeNss: &FakeNss{ExtraPasswdLines: []string{"app:x:1000:1000::/:/bin/sh"}, ExtraGroupLines: []string{"app:x:1000:"}}},
		want: `
			755 etc/
			644 etc/group "root:x:0:\napp:x:1000:\nnobody:x:65534:\n"
			644 etc/nsswitch.conf "hosts: files dns\n"
			644 etc/passwd "root:x:0:0:root user:/var/empty:/bin/sh\napp:x:1000:1000::/:/bin/sh\nnobody:x:65534:65534:nobody:/var/empty:/bin/sh\n"
			755 var/
			555 var/empty/`,
	},
	{
		name:    "fakeNss where contents have the same and another",
		a:       []string{"etc/nsswitch.conf hosts: files dns\n", "etc/group root:x:0:\n", "etc/hosts x"},
		options: Options{FakeNss: &FakeNss{}},
		want: `
			755 etc/
			644 etc/group "root:x:0:\nnobody:x:65534:\n"
			etc/hosts -> @a/etc/hosts
			644 etc/nsswitch.conf "hosts: files dns\n"
			644 etc/passwd "root:x:0:0:root user:/var/empty:/bin/sh\nnobody:x:65534:65534:nobody:/var/empty:/bin/sh\n"
			755 var/
			555 var/empty/`,
		conflicts: []string{"/etc/group: preset fakeNss is used, not the different one of @a"},
	},
	{
		name:    "tmp, where there is one already, behind a link",
		a:       []string{"tmp/", "var -> private/var", "private/var/x x"},
		options: Options{Tmp: true},
		want: `
			755 private/
			755 private/var/
			private/var/x -> @a/private/var/x
			1777 tmp/
			755 var/
			1777 var/tmp/
			var/x -> @a/private/var/x`,
	},
	{
		name:    "links",
		options: Options{CACertificates: use("s"), BinSh: use("s"), UsrBinEnv: use("s")},
		want: `
			755 bin/
			bin/sh -> @s/bin/bash
			755 etc/
			755 etc/pki/
			755 etc/pki/tls/
			755 etc/pki/tls/certs/
			etc/pki/tls/certs/ca-bundle.crt -> @s/etc/ssl/certs/ca-bundle.crt
			755 etc/ssl/
			755 etc/ssl/certs/
			etc/ssl/certs/ca-bundle.crt -> @s/etc/ssl/certs/ca-bundle.crt
			etc/ssl/certs/ca-certificates.crt -> @s/etc/ssl/certs/ca-bundle.crt
			755 usr/
			755 usr/bin/
			usr/bin/env -> @s/usr/bin/env`,
	},
	{
		name:    "sh that contents have, by another name but the same",
		a:       []string{"bin/dash* x", "bin/sh -> dash"},
		options: Options{BinSh: use("a")},
		want: `
			755 bin/
			bin/dash -> @a/bin/dash
			bin/sh -> @a/bin/sh`,
	},
	{
		name:      "another sh",
		a:         []string{"bin/sh* other"},
		options:   Options{BinSh: use("s")},
		want:      "755 bin/\nbin/sh -> @s/bin/bash",
		conflicts: []string{"/bin/sh: preset binSh is used, not the different one of @a"},
	},
	{name: "no shell", a: []string{"bin/zsh* x", "bin/sh -> nothing"}, options: Options{BinSh: use("a")}, err: "preset binSh: @a has no bin/bash and no bin/sh"},
	{name: "no env", a: []string{"bin/env/"}, options: Options{UsrBinEnv: use("a")}, err: "@a has no bin/env"},
	{name: "no certificates", options: Options{CACertificates: use("a")}, err: "preset caCertificates: @a has no etc/ssl"},
	{name: "a directory where a link is to be", a: []string{"bin/sh/"}, options: Options{BinSh: use("s")}, err: `there is a directory at "bin/sh", from @a`},
	{name: "a file where a directory is to be", a: []string{"etc text"}, options: Options{FakeNss: &FakeNss{}}, err: `there is no directory at "etc" but a symbolic link, from @a`},
}

var fileCases = []treeCase{
	{
		name: "text, link and directory, with parents",
		options: Options{Files: []FileSpec{
			{Path: "a/b/c", Text: []byte("x")}, {Path: "a/b/empty", Text: []byte{}},
			{Path: "a/l", Link: "../nowhere"}, {Path: "d", Directory: true},
		}},
		want: "755 a/\n755 a/b/\n644 a/b/c \"x\"\n644 a/b/empty \"\"\na/l -> ../nowhere\n755 d/",
	},
	{
		name: "modes and owners",
		options: Options{Files: []FileSpec{
			{Path: "d", Directory: true, Attributes: mode(0o1770)}, {Path: "f", Text: []byte{}, Attributes: mode(0o4755)}, {Path: "g", Text: []byte{}, Attributes: owner(5, 6)},
			{Path: "l", Link: "x", Attributes: owner(7, 0)},
		}},
		want: "1770 d/\n4755 f \"\"\n644 5:6 g \"\"\n7:0 l -> x",
	},
	{
		name:    "in the place of contents and presets, without a word",
		a:       []string{"etc/passwd mine", "etc/x x"},
		options: Options{FakeNss: &FakeNss{}, Files: []FileSpec{{Path: "etc/x", Text: []byte("y")}, {Path: "etc/group", Text: []byte("g")}}},
		want: `
			755 etc/
			644 etc/group "g"
			644 etc/nsswitch.conf "hosts: files dns\n"
			644 etc/passwd "root:x:0:0:root user:/var/empty:/bin/sh\nnobody:x:65534:65534:nobody:/var/empty:/bin/sh\n"
			644 etc/x "y"
			755 var/
			555 var/empty/`,
		conflicts: []string{"/etc/passwd: preset fakeNss is used, not the different one of @a"},
	},
	{
		name:    "below a link of contents to a directory",
		a:       []string{"etc -> @s/dir"},
		options: Options{Files: []FileSpec{{Path: "etc/new", Text: []byte{}}}},
		want:    "755 etc/\netc/l -> @s/dir/l\n644 etc/new \"\"\netc/x -> @s/dir/x",
	},
	{
		name: "sources in the store",
		a:    []string{"x* text"},
		options: Options{Files: []FileSpec{
			{Path: "0", Source: "@s/bin/sh"}, {Path: "1", Source: "@s/etc/link"}, {Path: "2", Source: "@s/dir"}, {Path: "3", Source: "@s/etc/ssl/certs/ca-bundle.crt", Attributes: mode(0o600)},
			{Path: "4", Source: "@s/dir/../bin/./sh"},
		}},
		want: `
			755 0 < STORE/s/bin/sh
			755 1 < STORE/a/x
			755 2/
			2/l -> x
			755 2/x < STORE/s/dir/x
			600 3 < STORE/s/etc/ssl/certs/ca-bundle.crt
			755 4 < STORE/s/bin/sh
			x -> @a/x`,
	},
	{
		name:    "a source that is a directory is joined",
		a:       []string{"etc/a x", "etc/x other"},
		options: Options{Files: []FileSpec{{Path: "etc", Source: "@s/dir", Attributes: mode(0o700)}}},
		want:    "700 etc/\netc/a -> @a/etc/a\netc/l -> x\n755 etc/x < STORE/s/dir/x",
	},
	{name: "a file below a file", options: Options{Files: []FileSpec{{Path: "a", Text: []byte{}}, {Path: "a/b", Text: []byte{}}}}, err: `write file "a/b": there is no directory at "a" but a file, from files`},
	{name: "a file below a link of files", options: Options{Files: []FileSpec{{Path: "a", Link: "/etc"}, {Path: "a/b", Text: []byte{}}}}, err: `there is no directory at "a" but a symbolic link, from files`},
	{name: "a file for a directory", a: []string{"d/x x"}, options: Options{Files: []FileSpec{{Path: "d", Text: []byte{}}}}, err: `write file "d": there is a directory at "d", from @a`},
	{name: "a directory for a file", a: []string{"d x"}, options: Options{Files: []FileSpec{{Path: "d", Directory: true}}}, err: `there is no directory at "d"`},
	{name: "source not in the store", options: Options{Files: []FileSpec{{Path: "x", Source: "@z/x"}}}, err: "source @z/x: its store path is not in the store"},
	{name: "source missing in the store", options: Options{Files: []FileSpec{{Path: "x", Source: "@s/nothing"}}}, err: "source @s/nothing: no such file in the store"},
	{name: "source that is no store path", options: Options{Files: []FileSpec{{Path: "x", Source: "/nix/store/.links/x"}}}, err: `"/nix/store/.links"`},
	{name: "path up", options: Options{Files: []FileSpec{{Path: "../x", Text: []byte{}}}}, err: "not relative and clean"},
	{name: "path absolute", options: Options{Files: []FileSpec{{Path: "/x", Text: []byte{}}}}, err: "not relative and clean"},
	{name: "a file for a directory above the store", options: Options{Files: []FileSpec{{Path: "nix", Text: []byte{}}}}, err: `there is a file at "nix", from files: it would hide the store directory of the image`},
	{name: "a link of contents for one", a: []string{"nix x"}, err: `there is a symbolic link at "nix", from @a: it would hide`},
	{name: "path in the store", options: Options{Files: []FileSpec{{Path: "nix/store/x", Text: []byte{}}}}, err: "nothing can stand in the store directory"},
	{name: "whiteout", options: Options{Files: []FileSpec{{Path: "a/.wh.b", Text: []byte{}}}}, err: ".wh."},
	{name: "path too long", options: Options{Files: []FileSpec{{Path: strings.Repeat("a/", 2000) + "a", Text: []byte{}}}}, err: "has 4001 bytes"},
	{name: "name too long", options: Options{Files: []FileSpec{{Path: strings.Repeat("a", 256), Text: []byte{}}}}, err: "a name of 256 bytes"},
	{name: "link too long", options: Options{Files: []FileSpec{{Path: "a", Link: strings.Repeat("a", 4096)}}}, err: "has 4096 bytes"},
}

var permCases = []treeCase{
	{
		name: "each over the one before",
		a:    []string{"d/x x"},
		options: Options{
			Files: []FileSpec{{Path: "d/f", Text: []byte{}}, {Path: "d/g", Text: []byte{}, Attributes: owner(9, 9)}},
			Perms: []Perm{{Glob: "d/**", Attributes: owner(1, 2)}, {Glob: "d/f", Attributes: mode(0o600)}, {Glob: "d/*", Attributes: mode(0o640)}},
		},
		want: "755 1:2 d/\n640 1:2 d/f \"\"\n640 1:2 d/g \"\"\n1:2 d/x -> @a/d/x",
	},
	{name: "nothing matches", a: []string{"d/x x"}, options: Options{Perms: []Perm{{Glob: "e/**", Attributes: owner(1, 1)}}}, err: `apply perms "e/**": nothing in the root layer matches`},
	{name: "mode of links", a: []string{"d/x x"}, options: Options{Perms: []Perm{{Glob: "d/x", Attributes: mode(0o600)}}}, err: "only symbolic links match"},
	{name: "a glob that leads upwards", a: []string{"d/x x"}, options: Options{Perms: []Perm{{Glob: "d/../d/x", Attributes: owner(1, 1)}}}, err: "not relative and clean"},
	{name: "malformed", a: []string{"d/x x"}, options: Options{Perms: []Perm{{Glob: "[", Attributes: owner(1, 1)}}}, err: "not well formed"},
}

func TestTrees(t *testing.T) {
	for group, cases := range map[string][]treeCase{"presets": presetCases, "files": fileCases, "perms": permCases} {
		for _, c := range cases {
			t.Run(group+"/"+c.name, c.run)
		}
	}
}

// Sources on disk: links to them are followed, links in them are kept.
func TestSourcesOnDisk(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t)
	f.dir = dir
	f.write(dir, "tree/f text")
	f.write(dir, "tree/x* text")
	f.write(dir, "tree/sub/empty/")
	f.write(dir, "tree/l -> /etc/passwd")
	f.write(dir, "link -> tree/x")
	source := func(name string) Options {
		return Options{Files: []FileSpec{{Path: "p", Source: filepath.Join(dir, name)}}}
	}
	for name, want := range map[string]string{
		"tree": "755 p/\n644 p/f < DIR/tree/f\np/l -> /etc/passwd\n755 p/sub/\n755 p/sub/empty/\n755 p/x < DIR/tree/x\n",
		"link": "755 p < DIR/link\n",
	} {
		tree, err := Build(context.Background(), source(name))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(f.list(tree), dir, "DIR"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
		for _, e := range entries(t, tree) {
			if e.Kind == File && e.Size != 4 {
				t.Errorf("%s has size %d, want 4", e.Name, e.Size)
			}
		}
	}
	f.check(syscall.Mkfifo(filepath.Join(dir, "tree/sub/pipe"), 0o644))
	if _, err := Build(context.Background(), source("tree")); err == nil || !strings.Contains(err.Error(), "tree/sub/pipe") || fault.CodeOf(err) != fault.Refused {
		t.Errorf("a pipe in a source: %v", err)
	}
	if _, err := Build(context.Background(), source("nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a source that is missing: %v", err)
	}
	f.write(dir, "white/.wh.x y")
	if _, err := Build(context.Background(), source("white")); err == nil || !strings.Contains(err.Error(), ".wh.x") {
		t.Errorf("a whiteout in a source: %v", err)
	}
}

func TestMatchParts(t *testing.T) {
	for _, test := range []struct {
		glob, name string
		want       bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a/b", false}, {"a/b", "a", false},
		{"*", "a", true}, {"*", "a/b", false}, {"a/*", "a/b", true}, {"*/b", "a/b", true},
		{"**", "a", true}, {"**", "a/b/c", true}, {"a/**", "a", true}, {"a/**", "a/b/c", true}, {"a/**", "b", false}, {"a/**", "ab", false},
		{"**/c", "c", true}, {"**/c", "a/b/c", true}, {"**/c", "a/c/b", false}, {"a/**/c", "a/c", true}, {"a/**/c", "a/b/b/c", true}, {"a/**/c", "c", false},
		{"**/a/**/b", "x/a/y/a/z/b", true}, {"**/a/**/b", "x/a/y", false}, {"**/**", "a", true}, {"**/*/**", "a", true},
		{"[a-c]?", "bz", true}, {"[^a]", "a", false}, {`\*`, "*", true}, {`\*`, "a", false}, {"?", "ä", true},
	} {
		if got := matchParts(strings.Split(test.glob, "/"), strings.Split(test.name, "/")); got != test.want {
			t.Errorf("%q matches %q: %v, want %v", test.glob, test.name, got, test.want)
		}
	}
	// Not exponential.
	glob := strings.Split(strings.Repeat("**/a/", 50)+"b", "/")
	if matchParts(glob, strings.Split(strings.Repeat("a/", 2000)+"c", "/")) {
		t.Error("a name without b matches")
	}
}

func TestBuildStops(t *testing.T) {
	f := newFixture(t)
	a := f.object("a", "x/y/z x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Build(ctx, Options{Contents: []store.Object{a}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Build = %v, want %v", err, context.Canceled)
	}
}

// A tree is a function of its options, and of the objects' content alone.
func TestBuildIsDeterministic(t *testing.T) {
	var first []Entry
	for range 10 {
		f := newFixture(t)
		f.object("a", "d/x one", "d/y two", "l -> d", "z/ ")
		f.object("b", "d/x other", "l/x another", "e/f/g x")
		tree, err := f.build(Options{Tmp: true, FakeNss: &FakeNss{}, Perms: []Perm{{Glob: "**", Attributes: owner(1, 1)}}}, "a", "b")
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = entries(t, tree)
		}
		if diff := cmp.Diff(first, entries(t, tree)); diff != "" {
			t.Fatalf("entries differ:\n%s", diff)
		}
	}
}
