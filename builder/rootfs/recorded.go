package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// loadRecorded makes the tree that Record has recorded, before all else.
func (b *build) loadRecorded() error {
	obj := b.options.Recorded
	if obj == nil {
		return nil
	}
	listing := place{*obj, recordedListing}
	info, err := b.objects.lstat(listing)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return refuse("load recorded tree %s: read %s: %w", obj.Path, recordedListing, err)
	}
	f, err := b.objects.open(listing)
	if err != nil {
		return fmt.Errorf("load recorded tree %s: %w", obj.Path, err)
	}
	defer f.Close()
	listed, err := parseListing(f)
	if err != nil {
		return refuse("load recorded tree %s: %w", obj.Path, err)
	}
	if err := b.loadDir(b.root, place{*obj, recordedTree}, "", listed); err != nil {
		return fmt.Errorf("load recorded tree %s: %w", obj.Path, err)
	}
	if err := b.loadSpecial(listed, string(obj.Path)); err != nil {
		return refuse("load recorded tree %s: %w", obj.Path, err)
	}
	if len(listed) > 0 {
		return refuse("load recorded tree %s: %q is listed and not there", obj.Path, slices.Min(slices.Collect(maps.Keys(listed))))
	}
	return nil
}

// loadSpecial takes the root and the store directory off the list, which are not
// in the tree on disk.
func (b *build) loadSpecial(listed map[string]*Entry, from string) error {
	at := string(b.options.StoreDir)[1:]
	for _, name := range []string{rootName, at} {
		if e := listed[name]; e != nil && e.Kind != Dir {
			return fmt.Errorf("%q is listed as a %s", name, e.Kind)
		}
	}
	if e := listed[rootName]; e != nil {
		b.root.mode, b.root.uid, b.root.gid = e.Mode, e.UID, e.GID
		delete(listed, rootName)
	}
	e := listed[at]
	if e == nil {
		return nil
	}
	parent := b.root
	for part := range strings.SplitSeq(path.Dir(at), "/") {
		if parent = parent.children[part]; parent == nil {
			return fmt.Errorf("%q is listed and not %q", at, path.Dir(at))
		}
	}
	n := newDir(from)
	n.mode, n.uid, n.gid = e.Mode, e.UID, e.GID
	parent.children[path.Base(at)] = n
	delete(listed, at)
	return nil
}

// loadDir adds to n what is in the directory p, and takes it off the list.
func (b *build) loadDir(n *node, p place, at string, listed map[string]*Entry) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	entries, err := b.objects.readDir(p)
	if err != nil {
		return err
	}
	for _, e := range entries {
		child, name := p.join(e.Name()), path.Join(at, e.Name())
		want, ok := listed[name]
		if !ok {
			return refuse("%q is there and not listed", name)
		}
		delete(listed, name)
		loaded, err := b.loadNode(child, want)
		if err != nil {
			return err
		}
		if err := b.add(n, name, loaded); err != nil {
			return err
		}
		if loaded.kind == Dir {
			if err := b.loadDir(loaded, child, name, listed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *build) loadNode(p place, want *Entry) (*node, error) {
	info, err := b.objects.lstat(p)
	if err != nil {
		return nil, err
	}
	n := &node{kind: want.Kind, mode: want.Mode, uid: want.UID, gid: want.GID, from: string(p.object.Path)}
	kind := File
	switch info.Mode().Type() {
	case fs.ModeDir:
		kind = Dir
		n.children = make(map[string]*node)
	case fs.ModeSymlink:
		kind = Symlink
		if n.link, err = b.objects.readlink(p); err != nil {
			return nil, err
		}
	case 0:
		n.source, n.size = p.physical(), info.Size()
	default:
		return nil, refuse("%q is no file", want.Name)
	}
	if kind != want.Kind {
		return nil, refuse("%q is a %s, and listed as a %s", want.Name, kind, want.Kind)
	}
	return n, nil
}
