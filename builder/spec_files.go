package builder

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"terrine/builder/rootfs"
	"terrine/store"
)

var ownerPattern = regexp.MustCompile(`^[0-9]{1,10}(?::[0-9]{1,10})?$`)

// files takes an object: path → what is to stand there.
func (p *specParser) files(v *jsonValue, at string) error {
	if err := p.want(v, at, kindObject); err != nil {
		return err
	}
	seen := make(map[string]string)
	for _, m := range v.members {
		here := joinPath(at, m.key)
		f, err := p.file(m.value, here)
		if err != nil {
			return err
		}
		f.Path = trimRootPath(m.key)
		if err := checkRootPath(f.Path); err != nil {
			return p.errorAt(m.off, here, err)
		}
		if other, ok := seen[f.Path]; ok {
			return p.errorAt(m.off, here, fmt.Errorf("%q is the same path", other))
		}
		seen[f.Path] = m.key
		p.spec.Files = append(p.spec.Files, f)
	}
	slices.SortFunc(p.spec.Files, func(a, b rootfs.FileSpec) int { return cmp.Compare(a.Path, b.Path) })
	return nil
}

func (p *specParser) file(v *jsonValue, at string) (rootfs.FileSpec, error) {
	var f rootfs.FileSpec
	var kinds []string
	kind := func(take field) field {
		return func(v *jsonValue, at string) error {
			kinds = append(kinds, at[strings.LastIndexByte(at, '.')+1:])
			return take(v, at)
		}
	}
	table := p.attributes(&f.Attributes)
	table["text"] = kind(func(v *jsonValue, at string) error {
		s, err := p.text(v, at, nil)
		f.Text = []byte(s)
		return err
	})
	table["source"] = kind(p.diskPath(&f.Source))
	table["symlink"] = kind(p.textInto(&f.Link, rootfs.CheckLink))
	table["directory"] = kind(func(v *jsonValue, at string) (err error) {
		f.Directory, err = p.truth(v, at)
		if err == nil && !f.Directory {
			err = p.errorAt(v.off, at, errors.New("can only be true"))
		}
		return err
	})
	if err := p.fields(v, at, table); err != nil {
		return rootfs.FileSpec{}, err
	}
	switch {
	case len(kinds) != 1:
		return rootfs.FileSpec{}, p.errorAt(v.off, at, fmt.Errorf("want one of text, source, symlink, directory, not %d", len(kinds)))
	case kinds[0] == "symlink" && f.Mode != nil:
		return rootfs.FileSpec{}, p.errorAt(v.off, at, errors.New("a symbolic link has no mode"))
	}
	return f, nil
}

// attributes holds the fields mode, uid, gid and owner. They write to a.
func (p *specParser) attributes(a *rootfs.Attributes) map[string]field {
	var ownerGiven, idGiven bool
	id := func(to **int) field {
		return func(v *jsonValue, at string) error {
			n, err := p.number(v, at, 0, maxID)
			if err == nil && ownerGiven {
				err = p.errorAt(v.off, at, errors.New("owner says it already"))
			}
			i := int(n)
			*to, idGiven = &i, true
			return err
		}
	}
	return map[string]field{
		"uid": id(&a.UID),
		"gid": id(&a.GID),
		"mode": func(v *jsonValue, at string) error {
			if v.kind == kindNumber {
				return p.errorAt(v.off, at, errors.New(`want an octal string, such as "0755": JSON has no octal numbers`))
			}
			_, err := p.text(v, at, func(s string) (err error) {
				a.Mode, err = parseMode(s)
				return err
			})
			return err
		},
		"owner": func(v *jsonValue, at string) error {
			_, err := p.text(v, at, func(s string) (err error) {
				if idGiven {
					return errors.New("uid or gid says it already")
				}
				ownerGiven = true
				a.UID, a.GID, err = parseOwner(s)
				return err
			})
			return err
		},
	}
}

// parseMode reads three or four octal digits.
func parseMode(s string) (*uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || len(s) < 3 || len(s) > 4 {
		return nil, fmt.Errorf("%q is no mode: want 3 or 4 octal digits", s)
	}
	mode := uint32(n)
	return &mode, nil
}

// parseOwner reads "UID" or "UID:GID". Names are not taken: whose they are is
// known only inside the container.
func parseOwner(s string) (uid, gid *int, err error) {
	if !ownerPattern.MatchString(s) {
		return nil, nil, fmt.Errorf("%q is no owner: want numbers, UID or UID:GID", s)
	}
	user, group, both := strings.Cut(s, ":")
	if !both {
		group = user
	}
	u, err1 := strconv.ParseUint(user, 10, 32)
	g, err2 := strconv.ParseUint(group, 10, 32)
	if err1 != nil || err2 != nil || u > maxID || g > maxID {
		return nil, nil, fmt.Errorf("owner %q: IDs go from 0 to %d", s, int64(maxID))
	}
	ui, gi := int(u), int(g)
	if !both {
		return &ui, nil, nil
	}
	return &ui, &gi, nil
}

// trimRootPath takes the slash in front of a path in the root layer, and the
// one behind that of a directory, which mean nothing.
func trimRootPath(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "/"), "/") }

// checkRootPath reports whether a file of the spec can stand at p.
func checkRootPath(p string) error {
	if err := rootfs.CheckPath(p); err != nil {
		return err
	}
	if dir := string(store.DefaultDir)[1:]; p == dir || strings.HasPrefix(p, dir+"/") {
		return errors.New("the store directory is not part of the root layer: use contents")
	}
	return nil
}

// perms takes an object: glob → attributes. What the order of the members is
// must not matter (Nix sorts them), so that a glob with more to go by wins.
func (p *specParser) perms(v *jsonValue, at string) error {
	if err := p.want(v, at, kindObject); err != nil {
		return err
	}
	for _, m := range v.members {
		here := joinPath(at, m.key)
		perm := rootfs.Perm{Glob: trimRootPath(m.key)}
		if err := rootfs.CheckGlob(perm.Glob); err != nil {
			return p.errorAt(m.off, here, err)
		}
		if err := p.fields(m.value, here, p.attributes(&perm.Attributes)); err != nil {
			return err
		}
		if perm.Attributes == (rootfs.Attributes{}) {
			return p.errorAt(m.value.off, here, errors.New("want at least one of mode, uid, gid, owner"))
		}
		p.spec.Perms = append(p.spec.Perms, perm)
	}
	slices.SortFunc(p.spec.Perms, comparePerms)
	for i := 1; i < len(p.spec.Perms); i++ {
		if p.spec.Perms[i].Glob == p.spec.Perms[i-1].Glob {
			return p.errorAt(v.off, at, fmt.Errorf("glob %q given twice, with a slash and without", p.spec.Perms[i].Glob))
		}
	}
	return nil
}

// comparePerms puts the less specific of two globs first: the one with more
// "**", then with fewer characters that stand for themselves, then by bytes.
func comparePerms(a, b rootfs.Perm) int {
	return cmp.Or(
		-cmp.Compare(strings.Count(a.Glob, "**"), strings.Count(b.Glob, "**")),
		cmp.Compare(literals(a.Glob), literals(b.Glob)),
		cmp.Compare(a.Glob, b.Glob),
	)
}

// literals counts the bytes of a glob that match only themselves.
func literals(glob string) (n int) {
	class := false
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '\\':
			i++
			if !class {
				n++
			}
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c != '*' && c != '?':
			n++
		}
	}
	return n
}

// fakeNss takes true, false, or an object with more lines.
func (p *specParser) fakeNss(v *jsonValue, at string) error {
	if err := p.want(v, at, kindBool, kindObject); err != nil {
		return err
	}
	if v.kind == kindBool && !v.truth {
		p.spec.FakeNss = nil
		return nil
	}
	nss := new(rootfs.FakeNss)
	p.spec.FakeNss = nss
	if v.kind == kindBool {
		return nil
	}
	lines := func(to *[]string, fields int) field {
		return func(v *jsonValue, at string) (err error) {
			*to, err = p.texts(v, at, func(s string) error { return checkDatabaseLine(s, fields) })
			return err
		}
	}
	return p.fields(v, at, map[string]field{
		"extraPasswdLines": lines(&nss.ExtraPasswdLines, 7),
		"extraGroupLines":  lines(&nss.ExtraGroupLines, 4),
	})
}

// checkDatabaseLine reports whether s is a line of passwd(5) or group(5).
func checkDatabaseLine(s string, fields int) error {
	switch n := strings.Count(s, ":") + 1; {
	case n != fields:
		return fmt.Errorf("%q has %d fields between colons: want %d", s, n, fields)
	case strings.HasPrefix(s, ":"):
		return fmt.Errorf("%q has no name", s)
	case strings.ContainsAny(s, "\n\r\x00"):
		return fmt.Errorf("%q is more than one line", s)
	}
	return nil
}
