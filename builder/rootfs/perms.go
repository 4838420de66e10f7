package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Perm changes the attributes of the entries that match Glob.
type Perm struct {
	// Glob is matched against the whole name of an entry, component by
	// component as by path.Match; a component "**" stands for any number of
	// components, none included, so that "home/**" matches home as well.
	Glob string
	Attributes
}

// CheckGlob reports whether s is a glob for a Perm: relative, clean, and well
// formed, with "**" only as a component of its own.
func CheckGlob(s string) error {
	if s == "" {
		return errors.New("the glob is empty")
	}
	for part := range strings.SplitSeq(s, "/") {
		_, err := path.Match(part, "")
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("glob %q is not relative and clean", s)
		case err != nil:
			return fmt.Errorf("glob %q: %q is not well formed", s, part)
		case part != "**" && strings.Contains(part, "**"):
			return fmt.Errorf("glob %q: ** can only stand alone between slashes", s)
		}
	}
	return nil
}

// applyPerms does the fourth step, each perm over the one before.
func (b *build) applyPerms() error {
	for _, p := range b.options.Perms {
		if err := CheckGlob(p.Glob); err != nil {
			return refuse("apply perms: %w", err)
		}
		m := matcher{build: b, perm: p, parts: strings.Split(p.Glob, "/")}
		if err := m.below(b.root, nil); err != nil {
			return fmt.Errorf("apply perms %q: %w", p.Glob, err)
		}
		switch {
		case m.matched == 0:
			return refuse("apply perms %q: nothing in the root layer matches", p.Glob)
		case p.Mode != nil && m.links == m.matched:
			return refuse("apply perms %q: only symbolic links match, and a link has no mode: files in the store keep theirs", p.Glob)
		}
	}
	return nil
}

// matcher applies one perm.
type matcher struct {
	*build
	perm           Perm
	parts          []string
	matched, links int
}

// below visits what is in n, which has the given name.
func (m *matcher) below(n *node, name []string) error {
	if err := m.unfold(n); err != nil {
		return err
	}
	for base, child := range n.children {
		here := append(name[:len(name):len(name)], base)
		if matchParts(m.parts, here) {
			m.matched++
			if child.kind == Symlink {
				m.links++
			}
			m.perm.apply(child)
		}
		if err := m.below(child, here); err != nil {
			return err
		}
	}
	return nil
}

// matchParts matches the components of a name. It remembers the last "**"
// only, which is enough: what an earlier one could take, the last can too.
func matchParts(glob, name []string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(name) {
		switch {
		case i < len(glob) && glob[i] == "**":
			star, from = i, j
			i++
		case i < len(glob) && matchPart(glob[i], name[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(glob) && glob[i] == "**" {
		i++
	}
	return i == len(glob)
}

func matchPart(glob, name string) bool {
	ok, err := path.Match(glob, name)
	return ok && err == nil
}
