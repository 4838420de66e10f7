package commands

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// maxPath is the longest path that the kernel takes, with its NUL.
const maxPath = 4096

// call says what the arguments of a system call are, by number. none is for
// those that it does not have.
type call struct {
	op       operation
	dir      int // descriptor; the current directory if none
	path     int // the file that dir is itself if none
	flags    int
	nofollow bool // without flags: a link is the file itself
	// owner is the argument for the user, before that for the group, of a
	// chown; out is where a stat writes to.
	owner, out int
}

const none = -1

type operation int

const (
	opChown operation = iota
	opStat
	opStatx
)

// Calls that several machines have.
var (
	fchownCall     = call{op: opChown, dir: 0, path: none, flags: none, owner: 1}
	fchownatCall   = call{op: opChown, dir: 0, path: 1, flags: 4, owner: 2}
	fstatCall      = call{op: opStat, dir: 0, path: none, flags: none, out: 1}
	newfstatatCall = call{op: opStat, dir: 0, path: 1, flags: 3, out: 2}
	statxCall      = call{op: opStatx, dir: 0, path: 1, flags: 2, out: 4}
)

// answer does what the stopped call asks for, or has it pass: then the kernel
// does it. valid tells whether the process is still the one that made the call.
func (n *notification) answer(valid func() bool, owners *Owners) (pass bool, err error) {
	c, ok := calls()[int(n.data.nr)]
	if !ok {
		return true, nil
	}
	t, err := n.target(&c)
	defer t.close()
	if err == nil && !valid() {
		err = unix.ESRCH
	}
	if err != nil {
		// The kernel finds what is wrong with a stat itself.
		return c.op != opChown, err
	}
	id, _, err := identifyAt(t.dir, t.name, t.flags)
	if err != nil {
		return c.op != opChown, err
	}
	if c.op == opChown {
		owners.set(id, owner{int(int32(n.data.args[c.owner])), int(int32(n.data.args[c.owner+1]))})
		return false, nil
	}
	to, ok := owners.byFile[id]
	if !ok {
		return true, nil
	}
	return false, n.stat(&c, t, to, valid)
}

// stat gives the process what it asks to know of a file, but for the owner.
func (n *notification) stat(c *call, t target, to owner, valid func() bool) error {
	var data []byte
	if c.op == opStatx {
		var st unix.Statx_t
		if err := fault.Retry(func() error { return unix.Statx(t.dir, t.name, t.flags, int(n.data.args[3]), &st) }); err != nil {
			return err
		}
		st.Uid, st.Gid = uint32(to.UID), uint32(to.GID)
		data = unsafe.Slice((*byte)(unsafe.Pointer(&st)), unsafe.Sizeof(st))
	} else {
		var st unix.Stat_t
		if err := fault.Retry(func() error { return unix.Fstatat(t.dir, t.name, &st, t.flags) }); err != nil {
			return err
		}
		st.Uid, st.Gid = uint32(to.UID), uint32(to.GID)
		data = unsafe.Slice((*byte)(unsafe.Pointer(&st)), unsafe.Sizeof(st))
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", n.pid), os.O_RDWR, 0)
	if err != nil {
		return unix.EFAULT
	}
	defer mem.Close()
	if !valid() {
		return unix.ESRCH // it may be the memory of another, that has its number now
	}
	if _, err := mem.WriteAt(data, int64(n.data.args[c.out])); err != nil {
		return unix.EFAULT
	}
	return nil
}

// target is the file that a call is about, for the calls that end in "at".
type target struct {
	dir   int // unix.AT_FDCWD, or to be closed
	name  string
	flags int
}

func (t target) close() {
	if t.dir != unix.AT_FDCWD {
		unix.Close(t.dir)
	}
}

// target finds the file of a call. The root directory of the process is taken
// to be ours.
func (n *notification) target(c *call) (t target, err error) {
	t.dir = unix.AT_FDCWD
	if c.nofollow {
		t.flags = unix.AT_SYMLINK_NOFOLLOW
	}
	if c.flags != none {
		t.flags = int(n.data.args[c.flags]) & (unix.AT_SYMLINK_NOFOLLOW | unix.AT_EMPTY_PATH)
	}
	if c.path == none {
		t.flags = unix.AT_EMPTY_PATH
	} else if address := n.data.args[c.path]; address != 0 || t.flags&unix.AT_EMPTY_PATH == 0 {
		if t.name, err = readString(n.pid, address); err != nil {
			return t, err
		}
		t.name = n.fromHere(t.name)
	}
	switch {
	case t.name == "" && t.flags&unix.AT_EMPTY_PATH == 0:
		return t, unix.ENOENT
	case t.name != "" && t.name[0] == '/':
		return t, nil
	}
	link := fmt.Sprintf("/proc/%d/cwd", n.pid)
	if c.dir != none {
		if fd := int32(n.data.args[c.dir]); fd != unix.AT_FDCWD {
			link = fmt.Sprintf("/proc/%d/fd/%d", n.pid, fd)
		}
	}
	err = fault.Retry(func() (err error) {
		t.dir, err = unix.Open(link, unix.O_PATH|unix.O_CLOEXEC, 0)
		return err
	})
	if errors.Is(err, unix.ENOENT) {
		err = unix.EBADF
	}
	if err != nil {
		t.dir = unix.AT_FDCWD
	}
	return t, err
}

// fromHere returns the name that a file of /proc has for this process, which the
// other one finds among its own.
func (n *notification) fromHere(name string) string {
	for _, own := range []struct{ prefix, below string }{{"/proc/self/", ""}, {"/proc/thread-self/", ""}, {"/dev/fd/", "fd/"}} {
		if rest, ok := strings.CutPrefix(name, own.prefix); ok {
			return fmt.Sprintf("/proc/%d/%s%s", n.pid, own.below, rest)
		}
	}
	return name
}

// readString returns the string at an address of a process.
func readString(pid uint32, address uint64) (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return "", err
	}
	defer f.Close()
	// Not beyond the page in one go: the next may not be there.
	var s []byte
	for len(s) < maxPath {
		chunk := make([]byte, 4096-(address+uint64(len(s)))%4096)
		k, err := f.ReadAt(chunk, int64(address)+int64(len(s)))
		if end := bytes.IndexByte(chunk[:k], 0); end >= 0 {
			return string(append(s, chunk[:end]...)), nil
		}
		if err != nil || k == 0 {
			return "", unix.EFAULT
		}
		s = append(s, chunk[:k]...)
	}
	return "", unix.ENAMETOOLONG
}
