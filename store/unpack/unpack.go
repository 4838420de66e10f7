// Package unpack unpacks tar files into new directories, for store objects to
// be made of. It trusts nothing in them: what is written stays in the
// directory, is a file, a directory or a link, and is bounded.
//
// What a store object cannot keep is not kept: owners, times, modes but for the
// executable bit, extended attributes.
package unpack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"terrine/store/compression"
	"terrine/store/fault"
	"terrine/store/nar"
)

// limits bound what one archive may unpack to.
type limits struct {
	bytes   int64 // of all files together
	entries int64 // files, directories and links
	holes   int64 // bytes of sparse files that the archive leaves out
}

// What nobody packs into one store object: the largest toolchains have some 20 GB,
// and 300,000 files. Disk images, which sparse files mostly are, are as large.
const (
	maxBytes   = 256 << 30
	maxEntries = 4 << 20
	maxHoles   = 32 << 30
)

// errUnsafe begins what is said of entries that nothing is made of.
var errUnsafe = errors.New("refused")

// Tar unpacks the tar file in r into dir, which it makes unless it is there.
// What is in dir already is kept: a file that stands there twice is an error,
// so that several archives can be unpacked into one directory. r may be
// compressed in any way that package compression reads.
//
// An archive that is malformed, or has an entry that cannot be in a store
// object or would lead out of dir, is of class fault.Refused, and the error
// names the entry; so is one that unpacks to more than 256 GiB or 4 Mi entries. What
// was unpacked before an error is left in dir.
func Tar(ctx context.Context, r io.Reader, dir string) error {
	return tarWithin(ctx, r, dir, limits{maxBytes, maxEntries, maxHoles})
}

func tarWithin(ctx context.Context, r io.Reader, dir string, most limits) error {
	err := os.Mkdir(dir, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("unpack into %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack into %s: %w", dir, err)
	}
	defer root.Close()
	br := bufio.NewReader(r)
	format, err := compression.Detect(br)
	if err != nil {
		return err
	}
	plain, err := compression.NewReader(format, br)
	if err != nil {
		return err
	}
	defer plain.Close()
	u := &unpacker{ctx: ctx, root: root, source: &source{r: plain}, left: most, dirs: map[string]bool{".": true}}
	return u.run()
}

// source remembers an error of the stream, so that it is not taken for one
// about the tar, and whether zeros came last: a tar without them was cut off
// between two entries, of which archive/tar says nothing. And it counts what was
// read, since of a sparse file the archive has less than archive/tar returns.
type source struct {
	r     io.Reader
	err   error
	zeros int
	n     int64
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	rest := bytes.TrimRight(p[:n], "\x00")
	if len(rest) > 0 {
		s.zeros = 0
	}
	s.zeros += n - len(rest)
	return n, err
}

// endOfTar is how many zeros end a tar at least.
const endOfTar = 1024

type unpacker struct {
	ctx    context.Context
	root   *os.Root
	source *source
	tar    *tar.Reader
	left   limits
	dirs   map[string]bool // that are there, and no links
}

func (u *unpacker) run() error {
	u.tar = tar.NewReader(u.source)
	for n := 1; ; n++ {
		if u.ctx.Err() != nil {
			return context.Cause(u.ctx)
		}
		h, err := u.tar.Next()
		if err == io.EOF && u.source.zeros < endOfTar {
			err = io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			return u.drain()
		}
		if err != nil {
			return u.malformed(fmt.Errorf("read tar: entry %d: %w", n, err))
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // of git archive: the commit
		}
		if err := u.entry(h); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
}

// drain reads what follows the tar: the padding, and the end of the compressed
// stream, which may have a checksum.
func (u *unpacker) drain() error {
	n, err := io.Copy(io.Discard, io.LimitReader(u.source, maxPadding))
	if err == nil && n == maxPadding {
		err = fault.New(fault.Refused, errors.New("read tar: data after the end"))
	}
	return err
}

// maxPadding is more than any program pads its archives to.
const maxPadding = 64 << 20

// malformed gives an error of the tar reader its class.
func (u *unpacker) malformed(err error) error {
	if u.source.err != nil {
		return u.source.err
	}
	return fault.New(fault.Refused, err)
}

func refuse(format string, args ...any) error {
	return fault.New(fault.Refused, fmt.Errorf("%w: "+format, append([]any{errUnsafe}, args...)...))
}

func (u *unpacker) entry(h *tar.Header) error {
	if err := u.count(1); err != nil {
		return err
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		if h.Typeflag != tar.TypeDir {
			return refuse("the top of an archive is a directory")
		}
		return nil
	}
	if err := u.makeDir(path.Dir(name), 1); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(name, h)
	case tar.TypeDir:
		return u.makeDir(name, 0)
	case tar.TypeSymlink:
		return u.symlink(name, h.Linkname)
	case tar.TypeLink:
		return u.hardlink(name, h.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return refuse("devices and FIFOs cannot be in the store")
	}
	return refuse("entries of type %q are not supported", h.Typeflag)
}

func (u *unpacker) count(entries int64) error {
	if u.left.entries -= entries; u.left.entries < 0 {
		return refuse("the archive has too many entries")
	}
	return nil
}

// cleanName returns the name of an entry below the directory, "." for the
// directory itself.
func cleanName(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", refuse("its name begins with a slash")
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", refuse("its name leads upwards")
		case len(part) > nar.MaxNameLen:
			return "", refuse("a name has at most %d bytes", nar.MaxNameLen)
		case strings.ContainsRune(part, 0):
			return "", refuse("a name has no NUL")
		case part != "" && part != ".":
			depth++
		}
	}
	if depth >= nar.MaxDepth {
		return "", refuse("nested deeper than %d", nar.MaxDepth)
	}
	return path.Clean(name), nil
}

// makeDir makes a directory, and those above it, unless they are there. A link
// on the way is refused: what is unpacked through it would land where the
// archive does not say. One that is made counts as so many entries: none if the
// archive lists it, as that is counted already.
func (u *unpacker) makeDir(dir string, entries int64) error {
	if u.dirs[dir] {
		return nil
	}
	if err := u.makeDir(path.Dir(dir), 1); err != nil {
		return err
	}
	info, err := u.lstat(dir)
	switch {
	case err == nil && !info.IsDir():
		return refuse("there is something else at %q than a directory", dir)
	case errors.Is(err, fs.ErrNotExist):
		if err = u.count(entries); err == nil {
			err = u.root.Mkdir(dir, 0o755)
		}
	}
	u.dirs[dir] = err == nil
	return err
}

func (u *unpacker) lstat(name string) (info fs.FileInfo, err error) {
	err = fault.Retry(func() error {
		info, err = u.root.Lstat(name)
		return err
	})
	return info, err
}

func (u *unpacker) file(name string, h *tar.Header) error {
	if u.left.bytes -= h.Size; h.Size < 0 || u.left.bytes < 0 {
		return refuse("the archive has more bytes than are allowed")
	}
	mode := fs.FileMode(0o644)
	if h.Mode&0o100 != 0 {
		mode = 0o755
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return refuse("it is there already")
	}
	if err != nil {
		return err
	}
	err = u.contents(f, h.Size)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask
	}
	return errors.Join(err, f.Close())
}

func (u *unpacker) contents(f *os.File, size int64) error {
	for left := size; left > 0; {
		if u.ctx.Err() != nil {
			return context.Cause(u.ctx)
		}
		before := u.source.n
		n, err := io.CopyN(f, u.tar, min(left, 1<<20))
		if u.left.holes -= n - (u.source.n - before); u.left.holes < 0 {
			return refuse("the holes in its sparse files have more bytes than are allowed")
		}
		if left -= n; err != nil {
			if _, disk := errors.AsType[*fs.PathError](err); disk && u.source.err == nil {
				return err
			}
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return u.malformed(err)
		}
	}
	return nil
}

// symlink makes a link as it is. It may lead anywhere: nothing is unpacked
// through it.
func (u *unpacker) symlink(name, target string) error {
	if target == "" || len(target) > nar.MaxTargetLen || strings.ContainsRune(target, 0) {
		return refuse("the target of a link has 1 to %d bytes and no NUL", nar.MaxTargetLen)
	}
	err := fault.Retry(func() error { return u.root.Symlink(target, name) })
	if errors.Is(err, fs.ErrExist) {
		return refuse("it is there already")
	}
	return err
}

// hardlink makes another name of a file that was unpacked before.
func (u *unpacker) hardlink(name, target string) error {
	clean, err := cleanName(target)
	if err != nil {
		return fmt.Errorf("its target %q: %w", target, err)
	}
	info, err := u.lstat(clean)
	if err != nil || !info.Mode().IsRegular() {
		return refuse("its target %q is no file of the archive that comes before", target)
	}
	// What the store keeps is two files.
	if u.left.bytes -= info.Size(); u.left.bytes < 0 {
		return refuse("the archive has more bytes than are allowed")
	}
	err = fault.Retry(func() error { return u.root.Link(clean, name) })
	if errors.Is(err, fs.ErrExist) {
		return refuse("it is there already")
	}
	return err
}
