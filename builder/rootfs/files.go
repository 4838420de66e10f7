package rootfs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"terrine/store/fault"
)

// FileSpec is an entry that is written out. Exactly one of Text, Source, Link
// and Directory says what it is.
type FileSpec struct {
	// Path is where it stands: see CheckPath.
	Path string
	// Text is the content of a file, nil if it is not given as text.
	Text []byte
	// Source is a file or directory to copy: below a store path, or anywhere
	// on disk. A directory is copied whole, its symbolic links as they are.
	Source string
	// Link is the target of a symbolic link.
	Link string
	// Directory asks for a directory.
	Directory bool
	Attributes
}

// Attributes are a mode and an owner. A nil field asks for nothing: a file has
// then mode 0644, or 0755 if its source can be executed, a directory 0755, and
// the owner is root.
type Attributes struct {
	Mode     *uint32 // permission, setuid, setgid and sticky bits
	UID, GID *int
}

func (a Attributes) apply(n *node) {
	if a.Mode != nil && n.kind != Symlink {
		n.mode = *a.Mode
	}
	if a.UID != nil {
		n.uid = *a.UID
	}
	if a.GID != nil {
		n.gid = *a.GID
	}
}

// fromFiles is who brings what Options.Files asks for.
const fromFiles = "files"

// writeFiles does the third step. A file of the spec stands instead of a file
// or link that is there already; a directory is joined.
func (b *build) writeFiles() error {
	for _, f := range b.options.Files {
		n, err := b.fileNode(f)
		if err == nil {
			f.Attributes.apply(n)
			err = b.put(f.Path, n, false)
		}
		if err != nil {
			return fmt.Errorf("write file %q: %w", f.Path, err)
		}
	}
	return nil
}

func (b *build) fileNode(f FileSpec) (*node, error) {
	switch {
	case f.Directory:
		return newDir(fromFiles), nil
	case f.Link != "":
		if err := CheckLink(f.Link); err != nil {
			return nil, refuse("%w", err)
		}
		return newLink(fromFiles, f.Link), nil
	case f.Source != "":
		return b.sourceNode(f.Source)
	}
	return newText(fromFiles, f.Text), nil
}

// sourceNode returns the tree below source, or the file it is.
func (b *build) sourceNode(source string) (*node, error) {
	disk, err := b.sourceOnDisk(source)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(disk)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return copiedFile(disk, info)
	}
	root, err := os.OpenRoot(disk)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	n := newDir(fromFiles)
	return n, b.copyDir(n, root, disk, ".")
}

// sourceOnDisk returns where source lies. Below the store directory that is
// wherever its store object is, never the machine's own store by chance.
func (b *build) sourceOnDisk(source string) (string, error) {
	slashed := filepath.ToSlash(source)
	if !strings.HasPrefix(slashed, string(b.options.StoreDir)+"/") {
		return source, nil
	}
	p, rest, err := b.options.StoreDir.SplitPath(slashed)
	if err != nil {
		return "", fault.New(fault.Refused, err)
	}
	obj, ok := b.objects.object(p)
	if !ok {
		return "", refuse("source %s: its store path is not in the store", source)
	}
	at, info, err := b.objects.resolve(place{obj, strings.TrimPrefix(path.Clean("/"+rest), "/")})
	if err != nil {
		return "", err
	}
	if info == nil {
		return "", refuse("source %s: no such file in the store", source)
	}
	return at.physical(), nil
}

// copyDir adds the entries of a directory below root to n.
func (b *build) copyDir(n *node, root *os.Root, disk, rel string) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	f, err := root.Open(rel)
	if err != nil {
		return err
	}
	entries, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		return err
	}
	for _, e := range entries {
		below := path.Join(rel, e.Name())
		child, err := b.copiedEntry(root, disk, below, e)
		if err != nil {
			return err
		}
		if b.count++; b.count > maxEntries {
			return refuse("more than %d entries", maxEntries)
		}
		n.children[e.Name()] = child
	}
	return nil
}

func (b *build) copiedEntry(root *os.Root, disk, rel string, e fs.DirEntry) (*node, error) {
	switch e.Type() {
	case fs.ModeDir:
		n := newDir(fromFiles)
		return n, b.copyDir(n, root, disk, rel)
	case fs.ModeSymlink:
		target, err := root.Readlink(rel)
		return newLink(fromFiles, target), err
	}
	info, err := e.Info()
	if err != nil {
		return nil, err
	}
	return copiedFile(filepath.Join(disk, filepath.FromSlash(rel)), info)
}

func copiedFile(disk string, info fs.FileInfo) (*node, error) {
	if !info.Mode().IsRegular() {
		return nil, refuse("%q: it is neither file, directory nor symbolic link", disk)
	}
	n := &node{kind: File, mode: fileMode, from: fromFiles, source: disk, size: info.Size()}
	if executable(info) {
		n.mode = execMode
	}
	return n, nil
}

// put places n at a path, with directories above it. What is there already
// gives way, with a conflict noted if wanted, but a directory takes only a
// directory.
func (b *build) put(at string, n *node, noteConflict bool) error {
	if err := b.checkPath(at); err != nil {
		return err
	}
	dir, name := path.Split(at)
	parent, err := b.makeDirs(strings.TrimSuffix(dir, "/"), n.from)
	if err != nil {
		return err
	}
	there := parent.children[name]
	switch {
	case there == nil:
		if err := b.checkTree(at, n); err != nil {
			return err
		}
		return b.add(parent, at, n)
	case n.kind == Dir:
		return b.merge(there, n, at)
	case there.kind == Dir:
		return refuse("there is a directory at %q, from %s", at, there.from)
	}
	if noteConflict {
		same, err := b.sameNode(there, n)
		if err != nil {
			return err
		}
		if !same {
			b.conflict(at, n.from, there.from)
		}
	}
	*there = *n
	return nil
}

// checkTree checks the paths of n and of all that is below it.
func (b *build) checkTree(at string, n *node) error {
	if err := b.checkPath(at); err != nil {
		return err
	}
	for _, base := range n.names() {
		if err := b.checkTree(path.Join(at, base), n.children[base]); err != nil {
			return err
		}
	}
	return nil
}

// merge brings the directory n into there, whose attributes become those of n.
func (b *build) merge(there, n *node, at string) error {
	if err := b.makeDirectory(there, at); err != nil {
		return err
	}
	there.mode, there.uid, there.gid = n.mode, n.uid, n.gid
	for _, base := range n.names() {
		if err := b.put(path.Join(at, base), n.children[base], false); err != nil {
			return err
		}
	}
	return nil
}

// makeDirs returns the directory at a path, made if need be.
func (b *build) makeDirs(at, from string) (_ *node, err error) {
	n := b.root
	if at == "" {
		return n, nil
	}
	here := ""
	for name := range strings.SplitSeq(at, "/") {
		here = path.Join(here, name)
		child := n.children[name]
		if child == nil {
			child = newDir(from)
			if err := b.add(n, here, child); err != nil {
				return nil, err
			}
		}
		if child.merged {
			if child, err = b.makeDirs("usr/"+name, from); err != nil {
				return nil, err
			}
		}
		if err := b.makeDirectory(child, here); err != nil {
			return nil, err
		}
		n = child
	}
	return n, nil
}

// makeDirectory makes sure that n, at a path, is a directory: a link of
// contents to a directory becomes what it leads to.
func (b *build) makeDirectory(n *node, at string) error {
	if n.kind == Dir {
		return b.unfold(n)
	}
	if _, err := b.expand(n, claim{at: at}); err != nil {
		return err
	}
	if n.kind != Dir {
		return refuse("there is no directory at %q but a %s, from %s", at, n.kind, n.from)
	}
	return nil
}
