package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"terrine/store"
)

// fromMerge is who brings the links of a merged /usr.
const fromMerge = "merged /usr"

// mergeable are the directories that Debian and others have merged into /usr.
var mergeable = [...]string{"bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"}

// joinClosure joins Options.Closure after Contents: whole file systems in pieces,
// such as Debian packages, with files at the places where programs look for
// them. Objects that are no directories have no such place and are passed over.
func (b *build) joinClosure() error {
	if b.options.Closure == nil {
		return nil
	}
	for _, obj := range b.options.Closure {
		if err := b.joinPart(obj); err != nil {
			return fmt.Errorf("join %s: %w", obj.Path, err)
		}
	}
	return b.linkMerged()
}

func (b *build) joinPart(obj store.Object) error {
	if obj.Path.Dir() != b.options.StoreDir {
		return refuse("not in the store directory %s", b.options.StoreDir)
	}
	p := place{object: obj}
	info, err := b.objects.lstat(p)
	if err != nil || !info.IsDir() {
		return err
	}
	j := join{build: b, from: string(obj.Path)}
	return j.top(p)
}

// findMerged decides which directories are merged into /usr: those that one
// object of the closure has there. Debian's packages have moved from one place
// to the other over the years, and a system with both kinds has links for the
// old places, which none of the packages but base-files brings.
func (b *build) findMerged() error {
	if b.options.Closure == nil {
		return nil
	}
	b.merged = make(map[string]bool)
	for _, obj := range slices.Concat(b.options.Contents, b.options.Closure) {
		p := place{object: obj}
		if ok, err := b.isDir(p, p.join("usr")); !ok || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		for _, name := range mergeable {
			ok, err := b.isDir(p.join("usr/" + name))
			if err != nil {
				return err
			}
			b.merged[name] = b.merged[name] || ok
		}
	}
	return nil
}

// isDir reports whether all places are directories, and not behind links. The
// one before is to be around the next.
func (b *build) isDir(places ...place) (bool, error) {
	for _, p := range places {
		info, err := b.objects.lstat(p)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil || !info.IsDir() {
			return false, err
		}
	}
	return true, nil
}

// top joins the top of an object: what stands in a directory that is merged goes
// into /usr instead.
func (j *join) top(p place) error {
	if len(j.merged) == 0 {
		return j.dir(j.root, claim{place: p})
	}
	entries, err := j.objects.readDir(p)
	if err != nil {
		return err
	}
	for _, e := range entries {
		c := claim{place: p.join(e.Name()), at: e.Name(), link: e.Type() == fs.ModeSymlink}
		n := j.root
		if j.merged[e.Name()] {
			if own, err := j.linksIntoUsr(c); own || err != nil {
				if err != nil {
					return err
				}
				continue // it will be there anyway
			}
			if n, err = j.makeDirs("usr", j.from); err != nil {
				return err
			}
			c.at = "usr/" + e.Name()
		}
		if err := j.entry(n, c, e.Type()); err != nil {
			return err
		}
	}
	return nil
}

// linksIntoUsr reports whether c is the link of a merged directory itself.
func (j *join) linksIntoUsr(c claim) (bool, error) {
	if !c.link {
		return false, nil
	}
	target, err := j.objects.readlink(c.place)
	return path.Clean(strings.TrimPrefix(target, "/")) == "usr/"+c.at, err
}

// linkMerged makes the links at the old places.
func (b *build) linkMerged() error {
	for _, name := range mergeable {
		if !b.merged[name] || b.root.children[name] != nil {
			continue
		}
		link := newLink(fromMerge, "usr/"+name)
		link.merged = true
		if err := b.add(b.root, name, link); err != nil {
			return err
		}
	}
	return nil
}
