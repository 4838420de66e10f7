package rootfs

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"terrine/store"
	"terrine/store/fault"
)

// closureCases are about a, which is the contents, and b, c, d… of its closure.
func closureCases() []joinCase {
	return []joinCase{
		{
			name:    "files of the closure stand beside those of the contents",
			objects: map[string][]string{"a": {"bin/a x"}, "b": {"bin/b x", "etc/b x"}},
			want: `
				755 bin/
				bin/a -> @a/bin/a
				bin/b -> @b/bin/b
				755 etc/
				etc/b -> @b/etc/b`,
		},
		{
			name:    "objects that are no directories have no place",
			objects: map[string][]string{"a": {"x x"}, "b": {" text"}, "c": {" -> @d"}, "d": {"y y"}},
			want:    "x -> @a/x\ny -> @d/y",
		},
		{
			name:      "contents win over the closure, and the nearer over the farther",
			objects:   map[string][]string{"a": {"x one"}, "b": {"x two", "y one"}, "c": {"y two"}},
			want:      "x -> @a/x\ny -> @b/y",
			conflicts: []string{"/x: @a is used, not the different one of @b", "/y: @b is used, not the different one of @c"},
		},
		{
			name: "links between packages",
			objects: map[string][]string{
				"a": {"usr/bin/python3 -> python3.11", "usr/share/doc/a -> b"},
				"b": {"usr/bin/python3.11* x", "usr/share/doc/b/copyright x"},
			},
			want: `
				bin -> usr/bin
				755 usr/
				755 usr/bin/
				usr/bin/python3 -> python3.11
				usr/bin/python3.11 -> @b/usr/bin/python3.11
				755 usr/share/
				755 usr/share/doc/
				usr/share/doc/a -> b
				755 usr/share/doc/b/
				usr/share/doc/b/copyright -> @b/usr/share/doc/b/copyright`,
		},
		{
			name:      "a file in both places",
			objects:   map[string][]string{"a": {"lib/x one"}, "b": {"usr/lib/x two", "usr/lib/y one"}, "c": {"lib/y one"}},
			want:      "lib -> usr/lib\n755 usr/\n755 usr/lib/\nusr/lib/x -> @a/lib/x\nusr/lib/y -> @b/usr/lib/y",
			conflicts: []string{"/usr/lib/x: @a is used, not the different one of @b"},
		},
		{
			name:    "no Debian: nothing is merged",
			objects: map[string][]string{"a": {"bin/x x", "lib/x x"}, "b": {"lib/y x", "usr -> ."}},
			want:    "755 bin/\nbin/x -> @a/bin/x\n755 lib/\nlib/x -> @a/lib/x\nlib/y -> @b/lib/y\nusr -> .",
		},
	}
}

// mergedCases are closureCases of Debian, where /bin may be /usr/bin.
func mergedCases() []joinCase {
	return []joinCase{
		{
			name: "packages from before and after /usr was merged",
			objects: map[string][]string{
				"a": {"usr/bin/hello* x"},
				"b": {"lib/x86_64-linux-gnu/libc.so.6 x", "lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"},
				"c": {"usr/lib/x86_64-linux-gnu/libz.so.1 x"},
				"d": {"bin/sh* x", "sbin/init* x"},
			},
			want: `
				bin -> usr/bin
				lib -> usr/lib
				755 lib64/
				lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
				755 sbin/
				sbin/init -> @d/sbin/init
				755 usr/
				755 usr/bin/
				usr/bin/hello -> @a/usr/bin/hello
				usr/bin/sh -> @d/bin/sh
				755 usr/lib/
				755 usr/lib/x86_64-linux-gnu/
				usr/lib/x86_64-linux-gnu/libc.so.6 -> @b/lib/x86_64-linux-gnu/libc.so.6
				usr/lib/x86_64-linux-gnu/libz.so.1 -> @c/usr/lib/x86_64-linux-gnu/libz.so.1`,
		},
		{
			name: "the links that base-files brings, and an interpreter in /usr/lib64",
			objects: map[string][]string{
				"a": {"usr/lib64/ld-linux-x86-64.so.2 -> ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2* x"},
				"b": {"lib -> usr/lib", "lib64 -> /usr/lib64", "bin -> usr/bin", "usr/bin/", "lib32 -> usr/lib32"},
			},
			want: `
				bin -> usr/bin
				lib -> usr/lib
				lib32 -> usr/lib32
				lib64 -> usr/lib64
				755 usr/
				755 usr/bin/
				755 usr/lib/
				755 usr/lib/x86_64-linux-gnu/
				usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 -> @a/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
				755 usr/lib64/
				usr/lib64/ld-linux-x86-64.so.2 -> @a/usr/lib64/ld-linux-x86-64.so.2`,
		},
		{
			name:    "a link to another directory where one is merged",
			objects: map[string][]string{"a": {"lib64 -> lib", "lib/x x"}, "b": {"usr/lib64/y x"}},
			want: `
				755 lib/
				lib/x -> @a/lib/x
				lib64 -> usr/lib64
				755 usr/
				755 usr/lib64/
				usr/lib64/x -> @a/lib/x
				usr/lib64/y -> @b/usr/lib64/y`,
		},
		{
			name:    "files and presets in merged directories",
			objects: map[string][]string{"a": {"usr/bin/x x", "usr/lib/x x"}, "b": {"bin/sh* x"}},
			options: Options{Files: []FileSpec{{Path: "bin/y", Link: "x"}, {Path: "lib/d/z", Link: "x"}, {Path: "usr/bin/w", Link: "x"}}},
			want: `
				bin -> usr/bin
				lib -> usr/lib
				755 usr/
				755 usr/bin/
				usr/bin/sh -> @b/bin/sh
				usr/bin/w -> x
				usr/bin/x -> @a/usr/bin/x
				usr/bin/y -> x
				755 usr/lib/
				755 usr/lib/d/
				usr/lib/d/z -> x
				usr/lib/x -> @a/usr/lib/x`,
		},
	}
}

func TestClosure(t *testing.T) {
	for _, c := range slices.Concat(closureCases(), mergedCases()) {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			o := c.options
			o.Closure = []store.Object{}
			for _, name := range slices.Sorted(maps.Keys(c.objects)) {
				if obj := f.object(name, c.objects[name]...); name != "a" {
					o.Closure = append(o.Closure, obj)
				}
			}
			f.compare(c, o, "a")
		})
	}
}

// TestClosureAlone has no contents, and a preset that needs a shell of the
// closure.
func TestClosureAlone(t *testing.T) {
	f := newFixture(t)
	shell := f.object("a", "bin/sh* x")
	tree, err := f.build(Options{Closure: []store.Object{shell, f.object("b", "usr/bin/x x")}, BinSh: &shell})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("bin -> usr/bin\n755 usr/\n755 usr/bin/\nusr/bin/sh -> @a/bin/sh\nusr/bin/x -> @b/usr/bin/x\n", f.list(tree)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	other := store.Object{Info: store.Info{Path: "/gnu/store/" + store.Path(strings.Repeat("0", 32)) + "-x"}, Dir: f.dir}
	if _, err := f.build(Options{Closure: []store.Object{other}}); fault.CodeOf(err) != fault.Refused {
		t.Errorf("another store directory: %v", err)
	}
}
