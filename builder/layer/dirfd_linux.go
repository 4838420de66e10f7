package layer

import (
	"bytes"
	"encoding/binary"
	"io/fs"

	"golang.org/x/sys/unix"
)

// openRootFlags need no right to list the directory.
const openRootFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

// openBeneath opens path below the directory dir, following no symlink on the
// way. It does not block on a FIFO.
func openBeneath(dir int, path string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(dir, path, &how)
		switch err {
		case unix.EINTR, unix.EAGAIN:
			continue
		case unix.ENOSYS, unix.EPERM: // an old kernel, or a seccomp filter that does not know the call
			return openStepwise(dir, path, flags)
		}
		return fd, err
	}
}

// A dirent is an entry of a directory; mode is its type, ModeIrregular if the
// directory does not say.
type dirent struct {
	name string
	mode fs.FileMode
}

// Layout of struct linux_dirent64.
const (
	direntReclen = 16
	direntType   = 18
	direntName   = 19
)

// list returns the entries of the directory fd, in no order.
func (r *dirReader) list(fd int) ([]dirent, error) {
	if r.buf == nil {
		r.buf = make([]byte, 64<<10)
	}
	var all []dirent
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Getdents(fd, r.buf) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return all, nil
		}
		for b := r.buf[:n]; len(b) > 0; {
			size := binary.NativeEndian.Uint16(b[direntReclen:])
			name, _, _ := bytes.Cut(b[direntName:size], []byte{0})
			if s := string(name); s != "." && s != ".." {
				all = append(all, dirent{name: s, mode: direntMode(b[direntType])})
			}
			b = b[size:]
		}
	}
}

func direntMode(t byte) fs.FileMode {
	switch t {
	case unix.DT_DIR:
		return fs.ModeDir
	case unix.DT_LNK:
		return fs.ModeSymlink
	}
	return fs.ModeIrregular
}
