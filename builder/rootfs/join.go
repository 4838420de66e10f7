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
		if err := j.dir(b.root, p, "", 0); err != nil {
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

// dir joins what is in the directory p into n, which stands at the path at.
func (j *join) dir(n *node, p place, at string, expansions int) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	entries, err := j.objects.readDir(p)
	if err != nil {
		return err
	}
	for _, e := range entries {
		child := p.join(e.Name())
		switch e.Type() {
		case fs.ModeDir:
			err = j.addDir(n, child, at, e.Name(), expansions)
		case 0, fs.ModeSymlink:
			err = j.addLeaf(n, child, at, e.Name(), expansions)
		default:
			err = refuse("%s: it is neither file, directory nor symbolic link", child.logical())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addDir joins the directory child under name into n.
func (j *join) addDir(n *node, child place, dir, name string, expansions int) error {
	at := path.Join(dir, name)
	there := n.children[name]
	if there == nil {
		there = newDir(j.from)
		if err := j.add(n, dir, name, there); err != nil {
			return err
		}
	}
	if there.kind == Dir {
		return j.dir(there, child, at, expansions)
	}
	same, err := j.expand(there, child, at, expansions)
	if err != nil || same {
		return err
	}
	if there.kind == Dir {
		return j.dir(there, child, at, expansions+1)
	}
	j.clash(at, there.from)
	return nil
}

// addLeaf joins the file or link child under name into n, as a link.
func (j *join) addLeaf(n *node, child place, dir, name string, expansions int) error {
	at := path.Join(dir, name)
	there := n.children[name]
	if there == nil {
		link, err := j.link(child)
		if err != nil {
			return err
		}
		return j.add(n, dir, name, link)
	}
	target, err := j.directory(child, expansions)
	if err != nil {
		return err
	}
	if target != nil {
		same, err := j.expand(there, *target, at, expansions)
		if err != nil || same {
			return err
		}
		if there.kind == Dir {
			return j.dir(there, *target, at, expansions+1)
		}
	}
	if there.origin != nil {
		same, err := j.alike(*there.origin, child)
		if err != nil || same {
			return err
		}
	}
	j.clash(at, there.from)
	return nil
}

// link returns what stands for the file or link p: a link to it. But a link
// that leads nowhere in the store is copied, as lndir does. It may lead to a
// file of other contents, beside it in the root: python3 -> python3.11.
func (j *join) link(p place) (*node, error) {
	link := newLink(j.from, p.logical())
	link.origin = &p
	_, info, err := j.objects.resolve(p)
	if err != nil || info != nil {
		return link, err
	}
	if link.link, err = j.objects.readlink(p); err != nil {
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
	target, info, err := b.objects.resolve(p)
	if err != nil || info == nil || !info.IsDir() || target.holds(p) {
		return nil, err
	}
	return &target, nil
}

// expand turns n, if it is a link to a directory, into that directory, so that
// other can be joined into it. It is true, and does nothing, if the link leads
// to other itself.
func (b *build) expand(n *node, other place, at string, expansions int) (same bool, err error) {
	if n.kind != Symlink || n.origin == nil {
		return false, nil
	}
	target, err := b.directory(*n.origin, expansions)
	if err != nil || target == nil {
		return false, err
	}
	if target.object.Path == other.object.Path && target.rel == other.rel {
		return true, nil
	}
	j := join{build: b, from: n.from}
	*n = *newDir(n.from)
	return false, j.dir(n, *target, at, expansions+1)
}
