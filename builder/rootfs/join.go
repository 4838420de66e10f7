package rootfs

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// maxExpansions bounds how many links to directories are joined one below the
// other. Contents that mean no harm need one or two; links that go in circles
// would never end.
const maxExpansions = 4

// quietDir holds what packages tell Nix. Hardly two contents have the same
// there, and nobody reads it in an image: the first wins, and that is that.
const quietDir = "nix-support"

// joinContents does the first step.
func (b *build) joinContents() error {
	for _, obj := range b.options.Contents {
		if obj.Path.Dir() != b.options.StoreDir {
			return refuse("join contents %s: not in the store directory %s", obj.Path, b.options.StoreDir)
		}
		p := place{object: obj}
		info, err := b.objects.lstat(p)
		if err != nil {
			return fmt.Errorf("join contents %s: %w", obj.Path, err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			if p, info, err = b.objects.resolve(p); err != nil {
				return fmt.Errorf("join contents %s: %w", obj.Path, err)
			}
			if info == nil {
				return refuse("join contents %s: it is a symbolic link that leads to nothing in the store", obj.Path)
			}
		}
		if !info.IsDir() {
			return refuse("join contents %s: it is not a directory: only a directory has files to join", obj.Path)
		}
		j := join{build: b, from: string(obj.Path)}
		if err := j.top(p); err != nil {
			return fmt.Errorf("join contents %s: %w", obj.Path, err)
		}
	}
	return nil
}

// join brings one of the contents in.
type join struct {
	*build
	from string
}

// claim is an entry of a content on its way into the tree.
type claim struct {
	place      place  // where it lies in the store
	at         string // its path in the tree
	link       bool   // it is a symbolic link; else it is a file or directory
	expansions int    // links to directories that were joined above it
}

// dir joins what is in the directory c into n, which stands in its place.
func (j *join) dir(n *node, c claim) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	entries, err := j.objects.readDir(c.place)
	if err != nil {
		return err
	}
	for _, e := range entries {
		child := c
		child.place, child.at, child.link = c.place.join(e.Name()), path.Join(c.at, e.Name()), e.Type() == fs.ModeSymlink
		if err := j.entry(n, child, e.Type()); err != nil {
			return err
		}
	}
	return nil
}

// entry joins an entry of a directory into its parent n.
func (j *join) entry(n *node, c claim, kind fs.FileMode) error {
	switch kind {
	case fs.ModeDir:
		return j.addDir(n, c)
	case 0, fs.ModeSymlink:
		return j.addLeaf(n, c)
	}
	return refuse("%s: it is neither file, directory nor symbolic link", c.place.logical())
}

// addDir joins a directory into its parent n.
func (j *join) addDir(n *node, c claim) error {
	there := n.children[path.Base(c.at)]
	if there == nil {
		there = &node{kind: Dir, mode: dirMode, from: j.from, folded: &c}
		return j.add(n, c.at, there)
	}
	if there.kind == Dir {
		if err := j.unfold(there); err != nil {
			return err
		}
		return j.dir(there, c)
	}
	if joined, err := j.joinDir(there, c); err != nil || joined {
		return err
	}
	j.clash(c.at, there.from)
	return nil
}

// addLeaf joins a file or link into its parent n, as a link.
func (j *join) addLeaf(n *node, c claim) error {
	there := n.children[path.Base(c.at)]
	if there == nil {
		return j.addFree(n, c)
	}
	if c.link {
		target, err := j.directory(c.place, c.expansions)
		if err != nil {
			return err
		}
		if target != nil {
			d := c
			d.place = *target
			if joined, err := j.joinDir(there, d); err != nil || joined {
				return err
			}
		}
	}
	if there.origin != nil {
		same, err := j.alike(*there.origin, c.place)
		if err != nil || same {
			return err
		}
	}
	j.clash(c.at, there.from)
	return nil
}

// addFree brings a file or link to where there is nothing yet, below n.
func (j *join) addFree(n *node, c claim) error {
	if c.link && j.options.ExpandLinks {
		target, err := j.directory(c.place, c.expansions)
		if err != nil {
			return err
		}
		if target != nil {
			c.place, c.expansions = *target, c.expansions+1
			return j.addDir(n, c)
		}
	}
	link, err := j.link(c)
	if err != nil {
		return err
	}
	return j.add(n, c.at, link)
}

// joinDir joins a directory with what stands in its place, if that is a
// directory as well, behind a link or not.
func (j *join) joinDir(there *node, c claim) (joined bool, err error) {
	same, err := j.expand(there, c)
	if err != nil || same {
		return same, err
	}
	if there.kind != Dir {
		return false, nil
	}
	if err := j.unfold(there); err != nil {
		return false, err
	}
	c.expansions++
	return true, j.dir(there, c)
}

// link returns what stands for the file or link c: a link to it. But a link
// that leads nowhere in the store is copied, as lndir does. It may lead to a
// file of other contents, beside it in the root: python3 -> python3.11.
func (j *join) link(c claim) (*node, error) {
	link := newLink(j.from, c.place.logical())
	link.origin = &c.place
	if !c.link {
		return link, nil
	}
	_, info, err := j.objects.resolveLink(c.place)
	if err != nil || info != nil {
		return link, err
	}
	if link.link, err = j.objects.readlink(c.place); err != nil {
		return nil, err
	}
	return link, CheckLink(link.link)
}

// clash notes that the entry of this content at the path at is not used.
func (j *join) clash(at, kept string) {
	if at == quietDir || strings.HasPrefix(at, quietDir+"/") {
		return
	}
	j.conflict(at, kept, j.from)
}

// directory returns the directory that the link p leads to, or nil for
// anything else and for a link to a directory around it.
func (b *build) directory(p place, expansions int) (*place, error) {
	if expansions >= maxExpansions {
		return nil, nil
	}
	target, info, err := b.objects.resolveLink(p)
	if err != nil || info == nil || !info.IsDir() || target.holds(p) {
		return nil, err
	}
	return &target, nil
}

// expand turns n, if it is a link to a directory, into that directory, so that
// c can be joined into it. It is true, and does nothing, if the link leads to
// c itself.
func (b *build) expand(n *node, c claim) (same bool, err error) {
	if n.kind != Symlink || n.origin == nil {
		return false, nil
	}
	target, err := b.directory(*n.origin, c.expansions)
	if err != nil || target == nil {
		return false, err
	}
	if target.object.Path == c.place.object.Path && target.rel == c.place.rel {
		return true, nil
	}
	j := join{build: b, from: n.from}
	*n = *newDir(n.from)
	return false, j.dir(n, claim{place: *target, at: c.at, expansions: c.expansions + 1})
}
