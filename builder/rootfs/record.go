package rootfs

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"terrine/store"
)

// What a recorded tree has: the files, with modes as a store leaves them, and
// the list of the modes and owners that they are to have.
const (
	recordedTree    = "tree"
	recordedListing = "mtree"
)

// Record copies the tree on disk at src to dst, which does not exist, in a form
// that a store can keep and Options.Recorded takes: a store forgets modes and
// owners. owner tells to whom a file belongs in the image. Files that cannot be
// read are made readable in src.
//
// dst gets a directory "tree" and a file "mtree", in the format of mtree(5).
func Record(ctx context.Context, src, dst string, owner func(path string) (uid, gid int, err error)) error {
	r := recorder{ctx: ctx, src: src, owner: owner}
	if err := r.record(dst); err != nil {
		return fmt.Errorf("record tree: %w", err)
	}
	return nil
}

// recorder copies a tree.
type recorder struct {
	ctx      context.Context
	src      string
	from, to *os.Root
	listing  io.Writer
	owner    func(path string) (uid, gid int, err error)
}

func (r *recorder) record(dst string) (err error) {
	if err := os.MkdirAll(filepath.Join(dst, recordedTree), 0o755); err != nil {
		return err
	}
	if r.from, err = os.OpenRoot(r.src); err != nil {
		return err
	}
	defer r.from.Close()
	if r.to, err = os.OpenRoot(filepath.Join(dst, recordedTree)); err != nil {
		return err
	}
	defer r.to.Close()
	listing, err := os.OpenFile(filepath.Join(dst, recordedListing), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(listing)
	fmt.Fprintln(w, listingHead)
	r.listing = w
	return cmp.Or(r.special(rootName), r.dir(rootName), w.Flush(), listing.Close())
}

// special lists a directory that every image has, the root or the store
// directory, if it has another mode or owner than it has there.
func (r *recorder) special(at string) error {
	info, err := lstat(r.from, at)
	if err != nil {
		return err
	}
	e := Entry{Name: at, Kind: Dir, Mode: linuxMode(info.Mode())}
	if e.UID, e.GID, err = r.owner(filepath.Join(r.src, filepath.FromSlash(at))); err != nil || e.isPlainDir() {
		return err
	}
	return writeListed(r.listing, &e)
}

// dir copies what is in a directory.
func (r *recorder) dir(at string) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	f, err := r.from.Open(at)
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := r.entry(path.Join(at, name)); err != nil {
			return err
		}
	}
	return nil
}

func (r *recorder) entry(at string) error {
	if err := CheckPath(at); err != nil {
		return refuse("%w", err)
	}
	info, err := lstat(r.from, at)
	if err != nil {
		return err
	}
	if at == string(store.DefaultDir)[1:] && info.IsDir() {
		return r.storeDir(at)
	}
	e := Entry{Name: at, Mode: linuxMode(info.Mode())}
	switch info.Mode().Type() {
	case fs.ModeDir:
		e.Kind = Dir
	case fs.ModeSymlink:
		e.Kind, e.Mode = Symlink, linkMode
	case 0:
		e.Kind = File
	default:
		return refuse("%q: it is neither file, directory nor symbolic link", at)
	}
	if e.UID, e.GID, err = r.owner(filepath.Join(r.src, filepath.FromSlash(at))); err != nil {
		return err
	}
	if err := writeListed(r.listing, &e); err != nil {
		return err
	}
	return r.copy(&e, info)
}

// copy copies an entry, and what is below it.
func (r *recorder) copy(e *Entry, info fs.FileInfo) error {
	need := fs.FileMode(0o400)
	if e.Kind == Dir {
		need = 0o500
	}
	if e.Kind != Symlink && info.Mode()&need != need && os.Geteuid() != 0 {
		if err := r.from.Chmod(e.Name, info.Mode().Perm()|need); err != nil {
			return err
		}
	}
	switch e.Kind {
	case Dir:
		if err := r.to.Mkdir(e.Name, 0o755); err != nil {
			return err
		}
		return r.dir(e.Name)
	case Symlink:
		target, err := r.from.Readlink(e.Name)
		if err != nil {
			return err
		}
		return symlink(r.to, target, e.Name)
	}
	f, err := r.from.Open(e.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeFile(r.to, e.Name, f)
}

// storeDir looks at the store directory of the tree, where the store of the
// machine was mounted or nothing is, and lists it.
func (r *recorder) storeDir(at string) error {
	f, err := r.from.Open(at)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return r.special(at)
	}
	if err != nil {
		return err
	}
	return refuse("%q: nothing can stand in the store directory of the image beside store paths", path.Join(at, names[0]))
}
