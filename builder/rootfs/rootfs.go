// Package rootfs makes the root layer of an image, as a tree in memory: what
// dockerTools calls the customisation layer, without its scripts.
//
// A tree is built in four steps, each of which sees what the one before made:
//
//  1. Contents are joined as lndir does: directories are real, and every file
//     and symbolic link becomes a link to its place in the store; a link that
//     leads nowhere there is copied. The first of two contents that claim a
//     path keeps it, which is a [Conflict] unless they hold the same. A
//     directory and a link to a directory are joined, as are two links to
//     directories; links are followed inside store objects only, never on the
//     machine's own file system.
//  2. Presets: users, /tmp, certificates, /bin/sh, /usr/bin/env. They take the
//     place of what contents have there, which is a Conflict as well.
//  3. Files are written out, with their parents. They take the place of links
//     and files without a word: that is what they are for.
//  4. Perms change modes and owners.
//
// Everything belongs to root unless a file or a perm says otherwise; what the
// tree does not hold (times, the owner of store layers) is the packer's.
package rootfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"terrine/store"
	"terrine/store/fault"
)

// Kind is what an entry is.
type Kind uint8

// The kinds of entries. There are no others in an image that terrine makes.
const (
	Dir Kind = iota + 1
	File
	Symlink
)

// String returns "directory", "file" or "symbolic link".
func (k Kind) String() string {
	switch k {
	case Dir:
		return "directory"
	case File:
		return "file"
	case Symlink:
		return "symbolic link"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Entry is a directory, file or symbolic link of the root layer.
type Entry struct {
	// Name is relative, without a slash at its end, and "." for the root
	// directory. Its bytes need not be UTF-8.
	Name string
	Kind Kind
	// Mode holds the permission, setuid, setgid and sticky bits. That of a
	// link is 0777.
	Mode         uint32
	UID, GID     int
	Uname, Gname string // root for the ID 0, else empty
	Link         string // Symlink: its target
	// Text is the content of a File if not nil; else Source is the file on
	// disk that holds it, a regular one when the tree was built.
	Text   []byte
	Source string
	Size   int64 // File: of its content, in bytes
}

// Options say what the tree is made of. The zero value makes an empty tree.
type Options struct {
	// StoreDir is the logical store directory; empty means /nix/store.
	StoreDir store.Dir
	// Contents are joined, the first first.
	Contents []store.Object
	// Closure is joined after Contents, as far as it is directories. If it is not
	// nil, the directories that Debian has merged into /usr are merged too: what
	// contents have in lib is in usr/lib, and lib a link to it, if one of them has
	// usr/lib.
	Closure []store.Object
	// ExpandLinks makes directories of links to directories, also where nothing
	// else lies there: the directories of the root layer can then be written to.
	ExpandLinks bool
	// Find returns other store objects, for links that lead to them and for
	// files whose source they hold. It may be nil.
	Find func(store.Path) (store.Object, bool)
	// Recorded is a store object that Record has made. Its tree is there before
	// everything else.
	Recorded *store.Object
	// ConflictsFail makes the first conflict an error.
	ConflictsFail bool

	// FakeNss and Tmp ask for those presets.
	FakeNss *FakeNss
	Tmp     bool
	// CACertificates, BinSh and UsrBinEnv are what those presets link to.
	CACertificates, BinSh, UsrBinEnv *store.Object

	Files []FileSpec
	Perms []Perm
}

// Tree is a root layer. It does not change. It is for one goroutine at a time.
type Tree struct {
	build     *build
	conflicts []Conflict
}

// Each calls visit with what the tree holds, every directory before what is in
// it, sorted by the bytes of each component of the path: a, a/b, a-b. The root
// directory is the first, with the name ".", if it has another mode or owner than
// it has in every container, and else not among it; the same holds for the store
// directory. Directories that one content alone brings are read now, so errors may
// be those of Build, or of the disk.
func (t *Tree) Each(ctx context.Context, visit func(Entry) error) error {
	b := *t.build // what it counts and has open is for this call
	b.ctx = ctx
	b.objects = newObjects(b.options)
	defer b.objects.close()
	if root := b.root.entry(rootName); !root.isPlainDir() {
		if err := visit(root); err != nil {
			return err
		}
	}
	var stopped error
	err := b.each(b.root, "", func(e Entry) error {
		stopped = visit(e)
		return stopped
	})
	if err != nil && stopped == nil {
		return fmt.Errorf("make root layer: %w", err)
	}
	return err
}

// Entries returns what Each visits, all at once.
func (t *Tree) Entries(ctx context.Context) ([]Entry, error) {
	var all []Entry
	err := t.Each(ctx, func(e Entry) error {
		all = append(all, e)
		return nil
	})
	return all, err
}

// Conflicts returns the paths that had more than one claimant, sorted.
func (t *Tree) Conflicts() []Conflict { return t.conflicts }

// Conflict is a path that several contents or presets have, not all alike.
type Conflict struct {
	Path string // in the image, without a slash in front
	// Kept is the store path or preset whose entry stands there; Left are the
	// others, in their order.
	Kept string
	Left []string
}

// String says what happened, for a warning.
func (c Conflict) String() string {
	return fmt.Sprintf("/%s: %s is used, not the different one of %s", c.Path, c.Kept, strings.Join(c.Left, ", "))
}

// Build makes a tree. Errors name the path in the image and who brought it;
// those that are the input's fault have the class fault.Refused. It waits for
// the disk only, and stops when ctx is done.
func Build(ctx context.Context, o Options) (*Tree, error) {
	if o.StoreDir == "" {
		o.StoreDir = store.DefaultDir
	}
	b := newBuild(ctx, o)
	defer b.objects.close()
	steps := []func() error{b.loadRecorded, b.findMerged, b.joinContents, b.joinClosure, b.makePresets, b.writeFiles, b.applyPerms, b.checkStoreDir}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("make root layer: %w", err)
		}
	}
	t := &Tree{build: b, conflicts: b.sortedConflicts()}
	if o.ConflictsFail && len(t.conflicts) > 0 {
		return nil, conflictError(t.conflicts)
	}
	return t, nil
}

func conflictError(conflicts []Conflict) error {
	text := "make root layer: conflict at " + conflicts[0].String()
	if n := len(conflicts) - 1; n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	err := fault.New(fault.Refused, errors.New(text))
	return fault.Hint(err, `"conflicts": "warn" lets the first of the contents win`)
}

// build is a tree in the making.
type build struct {
	ctx       context.Context
	options   Options
	objects   *objects
	root      *node
	count     int // nodes below root
	conflicts map[string]*Conflict
	merged    map[string]bool // directories that are merged into /usr
}

func newBuild(ctx context.Context, o Options) *build {
	return &build{
		ctx:       ctx,
		options:   o,
		objects:   newObjects(o),
		root:      newDir(""),
		conflicts: make(map[string]*Conflict),
	}
}

// conflict notes that left, at a path that kept has, is not used.
func (b *build) conflict(path, kept, left string) {
	c := b.conflicts[path]
	if c == nil {
		c = &Conflict{Path: path, Kept: kept}
		b.conflicts[path] = c
	}
	if left != kept && !slices.Contains(c.Left, left) {
		c.Left = append(c.Left, left)
	}
}

func (b *build) sortedConflicts() []Conflict {
	var out []Conflict
	for _, c := range b.conflicts {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Conflict) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// refuse returns an error about the input.
func refuse(format string, args ...any) error {
	return fault.New(fault.Refused, fmt.Errorf(format, args...))
}
