package layer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"golang.org/x/sys/unix"

	"terrine/store"
	"terrine/store/fault"
)

// A reader reads files for one worker.
type reader struct {
	dirs  dirReader
	roots *roots
	ctx   context.Context // of all its work
	trust bool            // look at no file's size and time
}

// appendObjectFile appends n bytes from off of a file of a store object.
func (r *reader) appendObjectFile(dst []byte, o *store.Object, e *entry, off int64, n int) ([]byte, error) {
	root, err := r.roots.open(o.Dir)
	if err != nil {
		return dst, err
	}
	path := place{dir: root.path, path: e.path}
	fd, err := r.openFile(root, e.path)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return dst, stale(path, fmt.Sprintf("it was a file of %d bytes and is none: %v", e.size, err))
	case err != nil:
		return dst, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	want := stamp{size: e.size, mtime: storeMtime + e.mtime, regular: true, executable: e.tag == tagExec}
	return r.appendFile(dst, fd, path, want, off, n)
}

// A place is the name of a file for an error. It costs nothing before there is
// one.
type place struct {
	dir  string
	path []byte // below dir
}

func (p place) String() string { return filepath.Join(p.dir, string(p.path)) }

// openFile opens a file below root, by way of its directory.
func (r *reader) openFile(root *rootDir, path []byte) (int, error) {
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	slash := lastSlash(path)
	if slash < 0 {
		return ignoringEINTR(func() (int, error) { return unix.Openat(root.fd, string(path), flags, 0) })
	}
	dir, err := r.dirs.open(root, path[:slash])
	if err != nil {
		return -1, err
	}
	return ignoringEINTR(func() (int, error) { return unix.Openat(dir, string(path[slash+1:]), flags, 0) })
}

// appendFile appends n bytes from off of the open file fd to dst, which has room
// for them. Unless r trusts files, this one must have the size, time of
// modification and mode wanted, before and after it is read. A change of
// the number of links or of ctime is none: a Nix store makes hardlinks of equal
// files at any moment.
func (r *reader) appendFile(dst []byte, fd int, path place, want stamp, off int64, n int) ([]byte, error) {
	if err := r.check(fd, path, want); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = dst[:start+n]
	err := readFull(fd, dst[start:], off)
	if errors.Is(err, io.ErrUnexpectedEOF) { // which a file that is trusted shows here first
		return dst[:start], stale(path, fmt.Sprintf("it had %d bytes and has fewer", want.size))
	}
	if err != nil {
		return dst[:start], fmt.Errorf("read %s: %w", path, err)
	}
	return dst, r.check(fd, path, want)
}

// same reports whether two files of a store object have the same content, and both are
// executable or neither is.
func (r *reader) same(o *store.Object, a, b []byte, executable bool) (bool, error) {
	root, err := r.roots.open(o.Dir)
	if err != nil {
		return false, err
	}
	var fds [2]int
	var sizes [2]int64
	for i, path := range [][]byte{a, b} {
		fds[i], err = r.openFile(root, path)
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("open %s: %w", place{dir: root.path, path: path}, err)
		}
		defer unix.Close(fds[i])
		is, err := fileStamp(fds[i])
		if err != nil {
			return false, fmt.Errorf("stat %s: %w", place{dir: root.path, path: path}, err)
		}
		if !is.regular || is.executable != executable {
			return false, nil
		}
		sizes[i] = is.size
	}
	same, err := sameContent(r.ctx, fds, sizes)
	if err != nil {
		err = fmt.Errorf("compare %s with %s: %w", root.join(string(a)), root.join(string(b)), err)
	}
	return same, err
}

// sameContent compares open files of the given sizes.
func sameContent(ctx context.Context, fds [2]int, sizes [2]int64) (bool, error) {
	size := sizes[0]
	if size != sizes[1] {
		return false, nil
	}
	bufs := make([]byte, 2*min(size, dedupBuffer))
	for off := int64(0); off < size; off += dedupBuffer {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(size-off, dedupBuffer)
		a, b := bufs[:n], bufs[len(bufs)/2:][:n]
		for i, buf := range [][]byte{a, b} {
			if err := readFull(fds[i], buf, off); errors.Is(err, io.ErrUnexpectedEOF) {
				return false, nil
			} else if err != nil {
				return false, err
			}
		}
		if !bytes.Equal(a, b) {
			return false, nil
		}
	}
	return true, nil
}

// check reports whether the open file fd is as wanted.
func (r *reader) check(fd int, path place, want stamp) error {
	if r.trust {
		return nil
	}
	is, err := fileStamp(fd)
	if err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	if is != want {
		return changed(path, want, is)
	}
	return nil
}

// errStale says that a file is not the one that its scaffold was made of. With a
// scaffold of this build it has changed meanwhile; with one that was remembered
// it may have been replaced long ago.
var errStale = errors.New("changed while it was read")

// IsStale reports whether err comes of a file that is not as its scaffold says.
func IsStale(err error) bool { return errors.Is(err, errStale) }

func changed(path place, was, is stamp) error {
	switch {
	case was.size != is.size:
		return stale(path, fmt.Sprintf("it had %d bytes and has %d", was.size, is.size))
	case was.executable != is.executable:
		return stale(path, "it has become executable, or is that no more")
	}
	return stale(path, "its time of modification is another")
}

func stale(path place, how string) error {
	err := fault.New(fault.Refused, fmt.Errorf("read %q: %w: %s", path.String(), errStale, how))
	return fault.Hint(err, "a store path never changes; find what writes to it, or verify the store")
}

// readFull fills buf from off. A file that ends early is an error.
func readFull(fd int, buf []byte, off int64) error {
	for len(buf) > 0 {
		n, err := ignoringEINTR(func() (int, error) { return unix.Pread(fd, buf, off) })
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		buf, off = buf[n:], off+int64(n)
	}
	return nil
}

// A stamp is what must not change of a file while it is read.
type stamp struct {
	size       int64
	mtime      int64 // nanoseconds since 1970
	regular    bool
	executable bool // by its owner
}

func fileStamp(fd int) (stamp, error) {
	var st unix.Stat_t
	if _, err := ignoringEINTR(func() (int, error) { return 0, unix.Fstat(fd, &st) }); err != nil {
		return stamp{}, err
	}
	return newStamp(&st), nil
}

func newStamp(st *unix.Stat_t) stamp {
	mode := uint32(st.Mode)
	return stamp{size: st.Size, mtime: st.Mtim.Nano(), regular: mode&unix.S_IFMT == unix.S_IFREG, executable: mode&0o100 != 0}
}
