package layer

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// A reader reads files for one worker.
type reader struct {
	dirs   dirReader
	roots  *roots
	stamps *stamps
	trust  bool // look at no file's size and time
}

// appendObjectFile appends n bytes from off of a file of a store object.
func (r *reader) appendObjectFile(dst []byte, s *objectSegment, e *entry, off int64, n int) ([]byte, error) {
	root, err := r.roots.open(s.object.Dir)
	if err != nil {
		return dst, err
	}
	path := root.join(string(e.path))
	fd, err := r.openFile(root, e.path)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return dst, changed(path, fmt.Sprintf("it was a file of %d bytes and is none: %v", e.size, err))
	case err != nil:
		return dst, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	return r.appendFile(dst, fd, path, e.size, off, n)
}

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

// appendFile appends n bytes from off of the open file fd, which must have
// size bytes, and must not change in size or time of modification while it is
// read, nor between the parts that it is read in. A change of the number of
// links or of ctime is none: a Nix store makes hardlinks of equal files at any
// moment.
func (r *reader) appendFile(dst []byte, fd int, path string, size, off int64, n int) ([]byte, error) {
	if r.trust {
		start := len(dst)
		dst = dst[:start+n]
		if err := readFull(fd, dst[start:], off); err != nil {
			return dst[:start], fmt.Errorf("read %s: %w", path, err)
		}
		return dst, nil
	}
	before, err := fileStamp(fd)
	if err != nil {
		return dst, fmt.Errorf("stat %s: %w", path, err)
	}
	if before.size != size || !before.regular {
		return dst, changed(path, fmt.Sprintf("it had %d bytes and has %d", size, before.size))
	}
	start := len(dst)
	dst = dst[:start+n]
	if err := readFull(fd, dst[start:], off); err != nil {
		return dst[:start], fmt.Errorf("read %s: %w", path, err)
	}
	after, err := fileStamp(fd)
	if err != nil {
		return dst, fmt.Errorf("stat %s: %w", path, err)
	}
	if after != before || (int64(n) < size && !r.stamps.same(path, after)) {
		return dst, changed(path, "its size or time of modification is another after reading")
	}
	return dst, nil
}

func changed(path, how string) error {
	err := fault.New(fault.Refused, fmt.Errorf("read %q: changed while it was read: %s", path, how))
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
	size    int64
	mtime   time.Duration // since 1970
	regular bool
}

func fileStamp(fd int) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return stamp{}, err
	}
	return stamp{
		size:    st.Size,
		mtime:   time.Duration(st.Mtim.Nano()),
		regular: uint32(st.Mode)&unix.S_IFMT == unix.S_IFREG,
	}, nil
}

// stamps remembers the stamps of files that are read in several parts, maybe by
// several workers.
type stamps struct {
	mu   sync.Mutex
	seen map[string]stamp
}

// same reports whether the file at path has the stamp that it had before.
func (s *stamps) same(path string, now stamp) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]stamp{}
	}
	was, ok := s.seen[path]
	if !ok {
		s.seen[path] = now
		return true
	}
	return was == now
}
