package rootfs

import "strings"

// joinCase is objects a, b, c… and what they make.
type joinCase struct {
	name      string
	objects   map[string][]string // those that are joined, in order
	others    map[string][]string // store objects beside them
	options   Options
	want      string // as fixture.list writes it, but for indentation
	conflicts []string
}

// joinCases are about what a joined tree looks like.
func joinCases() []joinCase {
	return []joinCase{
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
			name:    "a link through a directory that the image does not have",
			objects: map[string][]string{"a": {"f x", "l -> /nix/stor/../..@a/f", "m -> /nix/store/../..@a/f"}},
			want: `
				f -> @a/f
				l -> /nix/stor/../..@a/f
				m -> @a/m`,
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
			name:    "what packages tell Nix is no conflict",
			objects: map[string][]string{"a": {"nix-support/depends one"}, "b": {"nix-support/depends two", "nix-support/more x"}},
			want: `
				755 nix-support/
				nix-support/depends -> @a/nix-support/depends
				nix-support/more -> @b/nix-support/more`,
		},
	}
}

// targetCases are about what links in contents lead to.
func targetCases() []joinCase {
	long := strings.Repeat("l", 300)
	return []joinCase{
		{
			name: "links to directories are made directories",
			objects: map[string][]string{
				"a": {"var -> @c/var", "bin -> usr/bin", "usr/bin/x x", "loop/up -> ..", "deep -> @d/deep", "to-file -> @c/var/f"},
				"b": {"var/g x"},
			},
			others:  map[string][]string{"c": {"var/f x", "var/log/"}, "d": {"deep/in -> @c/var", "deep/again -> @d/deep"}},
			options: Options{ExpandLinks: true},
			want: `
				755 bin/
				bin/x -> @a/usr/bin/x
				755 deep/
				deep/again -> @d/deep/again
				755 deep/in/
				deep/in/f -> @c/var/f
				755 deep/in/log/
				755 loop/
				loop/up -> @a/loop/up
				to-file -> @a/to-file
				755 usr/
				755 usr/bin/
				usr/bin/x -> @a/usr/bin/x
				755 var/
				var/f -> @c/var/f
				var/g -> @b/var/g
				755 var/log/`,
		},
		{
			name:    "targets that are too long for any file lead nowhere",
			objects: map[string][]string{"a": {"x -> @a/" + long, "y -> " + long, "z -> @a/x/" + long, "top -> x"}},
			want: `
				top -> x
				x -> @a/` + long + `
				y -> ` + long + `
				z -> @a/x/` + long,
		},
	}
}

// conflictCases are about several contents that have one name.
func conflictCases() []joinCase {
	return []joinCase{
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
	}
}

// linkCases are about links to directories of the same object.
func linkCases() []joinCase {
	return []joinCase{
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
			name:    "a link to another directory of what comes next",
			objects: map[string][]string{"a": {"d -> @b/e"}, "b": {"d/x x", "e/y y"}},
			want:    "755 d/\nd/x -> @b/d/x\nd/y -> @b/e/y\n755 e/\ne/y -> @b/e/y",
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
	}
}

// distantLinkCases are about links to directories elsewhere.
func distantLinkCases() []joinCase {
	return []joinCase{
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
}
