package rootfs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxEntries bounds a tree: links to directories that hold links to
// directories can multiply.
const maxEntries = 4 << 20

// Modes of what is made without being told one.
const (
	dirMode  = 0o755
	fileMode = 0o644
	execMode = 0o755
	linkMode = 0o777
)

// node is an entry in a tree that is being made.
type node struct {
	kind     Kind
	mode     uint32
	uid, gid int
	from     string           // who brought it: a store path, or words
	children map[string]*node // Dir
	folded   *claim           // Dir of contents that is not read yet; it has no children then
	link     string           // Symlink
	origin   *place           // Symlink from contents: what it stands for
	merged   bool             // Symlink to the directory of that name in usr, which stands for it
	text     []byte           // File
	source   string           // File
	size     int64            // File
}

func newDir(from string) *node {
	return &node{kind: Dir, mode: dirMode, from: from, children: make(map[string]*node)}
}

func newLink(from, target string) *node {
	return &node{kind: Symlink, mode: linkMode, from: from, link: target}
}

func newText(from string, text []byte) *node {
	if text == nil {
		text = []byte{} // nil says that there is a source
	}
	return &node{kind: File, mode: fileMode, from: from, text: text, size: int64(len(text))}
}

// add puts child at the path at, which is free, in its parent directory n.
func (b *build) add(n *node, at string, child *node) error {
	if err := b.checkPath(at); err != nil {
		return err
	}
	if b.count++; b.count > maxEntries {
		return refuse("%q: more than %d entries", at, maxEntries)
	}
	n.children[path.Base(at)] = child
	return nil
}

// names returns the names of the children of n, sorted by bytes.
func (n *node) names() []string { return slices.Sorted(maps.Keys(n.children)) }

// checkPath reports whether the root layer can have an entry at p.
func (b *build) checkPath(p string) error {
	if err := CheckPath(p); err != nil {
		return refuse("%w", err)
	}
	if dir := string(b.options.StoreDir)[1:]; p == dir || strings.HasPrefix(p, dir+"/") {
		return refuse("%q: nothing can stand in the store directory of the image beside store paths", p)
	}
	return nil
}

// checkStoreDir refuses a tree that has anything else than directories above the
// store directory: it comes on top of the layers that have the store.
func (b *build) checkStoreDir() error {
	at, n := "", b.root
	for part := range strings.SplitSeq(path.Dir(string(b.options.StoreDir)[1:]), "/") {
		if err := b.unfold(n); err != nil {
			return err
		}
		at = path.Join(at, part)
		if n = n.children[part]; n == nil {
			return nil
		}
		if n.kind != Dir {
			return refuse("there is a %s at %q, from %s: it would hide the store directory of the image", n.kind, at, n.from)
		}
	}
	return nil
}

// unfold reads a directory of contents that is still folded. A directory that no
// two contents share, and in which nothing else stands, stays folded until it is
// listed: a root layer that links to a million files is never in memory whole.
func (b *build) unfold(n *node) error {
	if n.folded == nil {
		return nil
	}
	c := *n.folded
	n.folded, n.children = nil, make(map[string]*node)
	j := join{build: b, from: n.from}
	if err := j.dir(n, c); err != nil {
		return fmt.Errorf("join contents %s: %w", n.from, err)
	}
	return nil
}

// each calls visit with what is below n, which has the given name. It leaves n as
// it is.
func (b *build) each(n *node, name string, visit func(Entry) error) error {
	if n.folded != nil {
		open := &node{kind: Dir, from: n.from, folded: n.folded}
		if err := b.unfold(open); err != nil {
			return err
		}
		n = open
	}
	for _, base := range n.names() {
		child := n.children[base]
		at := path.Join(name, base)
		if err := visit(child.entry(at)); err != nil {
			return err
		}
		if err := b.each(child, at, visit); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) entry(name string) Entry {
	return Entry{
		Name: name, Kind: n.kind, Mode: n.mode,
		UID: n.uid, GID: n.gid, Uname: ownerName(n.uid), Gname: ownerName(n.gid),
		Link: n.link, Text: n.text, Source: n.source, Size: n.size,
	}
}

// rootName is the name of the root directory.
const rootName = "."

// isPlainDir tells whether e is a directory as it is without anybody's doing.
func (e *Entry) isPlainDir() bool {
	return e.Kind == Dir && e.Mode == dirMode && e.UID == 0 && e.GID == 0
}

// ownerName returns the one name that every system agrees on.
func ownerName(id int) string {
	if id == 0 {
		return "root"
	}
	return ""
}
