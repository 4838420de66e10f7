package layer

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A rootDir is an open store directory. Everything is reached from it,
// without following a symlink, and it is never itself listed: other builds may
// add and remove paths beside ours.
type rootDir struct {
	path string
	fd   int
}

func (r *rootDir) join(path string) string { return filepath.Join(r.path, path) }

// roots are the store directories in use, each open once.
type roots struct {
	mu   sync.Mutex
	list []*rootDir
}

func (r *roots) open(dir string) (*rootDir, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, have := range r.list {
		if have.path == dir {
			return have, nil
		}
	}
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(dir, openRootFlags, 0) })
	if err != nil {
		return nil, fmt.Errorf("open store directory %s: %w", dir, err)
	}
	root := &rootDir{path: dir, fd: fd}
	r.list = append(r.list, root)
	return root, nil
}

func (r *roots) close() {
	for _, root := range r.list {
		unix.Close(root.fd)
	}
	r.list = nil
}

// A dirReader keeps one directory open, the one that was asked for last: a
// walk asks for the same many times over. It serves one goroutine.
type dirReader struct {
	root *rootDir
	path string
	fd   int
	busy bool // fd is open
	buf  []byte
}

// open returns the directory at path below root. It stays open until the next
// call. It does not keep path.
func (r *dirReader) open(root *rootDir, path []byte) (int, error) {
	if r.busy && r.root == root && r.path == string(path) {
		return r.fd, nil
	}
	r.close()
	fd, err := openBeneath(root.fd, string(path), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	r.root, r.path, r.fd, r.busy = root, string(path), fd, true
	return fd, nil
}

func (r *dirReader) close() {
	if r.busy {
		unix.Close(r.fd)
		r.busy = false
	}
}

// readlink returns a symlink's target.
func readlink(fd int, name string) (string, error) {
	var buf [unix.PathMax]byte
	n, err := ignoringEINTR(func() (int, error) { return unix.Readlinkat(fd, name, buf[:]) })
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// ignoringEINTR calls f again while a signal interrupts it.
func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// openStepwise does what openBeneath does, a component at a time.
func openStepwise(dir int, path string, flags int) (int, error) {
	const step = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW
	at, owned := dir, false
	defer func() {
		if owned {
			unix.Close(at)
		}
	}()
	for {
		head, rest, more := strings.Cut(path, "/")
		if head == "" || head == "." || head == ".." {
			return -1, unix.EINVAL
		}
		mode := step
		if !more {
			mode = flags | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
		}
		fd, err := ignoringEINTR(func() (int, error) { return unix.Openat(at, head, mode, 0) })
		if err != nil || !more {
			return fd, err
		}
		if owned {
			unix.Close(at)
		}
		at, owned, path = fd, true, rest
	}
}
