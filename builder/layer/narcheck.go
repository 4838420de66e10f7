package layer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"terrine/store/fault"
)

// A narCheck makes the NAR of a store object out of the tar bytes of its segment,
// and compares its hash with the one that the object should have: one reading
// of the files serves both. Names, types and targets are those of the scaffold,
// which are the ones in the tar.
//
// See store/nar for the format.
type narCheck struct {
	ctx     context.Context // of all its work
	segment *objectSegment
	cursor  cursor
	hash    hash.Hash
	buf     []byte

	skip    int64 // bytes of tar before content: the rest of a header
	content int64 // bytes of content to come
	padding int64 // bytes of padding to come
	narPad  int   // what the NAR has after the content
}

func newNARCheck(ctx context.Context, s *objectSegment) *narCheck {
	return &narCheck{ctx: ctx, segment: s, cursor: cursor{records: s.scaffold.records}, hash: sha256.New()}
}

// write takes the next bytes of the segment.
func (n *narCheck) write(raw []byte) error {
	for len(raw) > 0 {
		switch {
		case n.skip > 0:
			raw = raw[take(&n.skip, len(raw)):]
		case n.content > 0:
			k := take(&n.content, len(raw))
			n.hash.Write(raw[:k])
			raw = raw[k:]
			if n.content == 0 {
				n.endFile()
			}
		case n.padding > 0:
			raw = raw[take(&n.padding, len(raw)):]
		default:
			if err := n.next(); err != nil {
				return err
			}
		}
	}
	return nil
}

// take reduces *n by as much as there is, and returns that.
func take(n *int64, have int) int {
	k := min(*n, int64(have))
	*n -= k
	return int(k)
}

// next begins the entry whose header comes next in the tar.
func (n *narCheck) next() error {
	if err := n.endDirs(); err != nil {
		return err
	}
	var e entry
	if ok, err := n.cursor.next(n.segment.base, &e); err != nil || !ok {
		return errScaffold
	}
	n.content = e.content()
	n.padding = padding(n.content)
	n.skip = e.tarSize(n.segment.prefix, &n.segment.policy.Owner) - n.content - n.padding
	return n.begin(&e)
}

// endDirs ends the directories that end before the next entry.
func (n *narCheck) endDirs() error {
	for n.cursor.pos < len(n.cursor.records) && n.cursor.records[n.cursor.pos] == tagUp {
		n.cursor.pos++
		if err := n.cursor.up(); err != nil {
			return err
		}
		n.tokens(")")
		n.endEntry()
	}
	return nil
}

func (n *narCheck) begin(e *entry) error {
	if e.name == "" {
		n.tokens("nix-archive-1")
	} else {
		n.tokens("entry", "(", "name", e.name, "node")
	}
	n.tokens("(", "type")
	switch e.tag {
	case tagDir:
		n.tokens("directory")
	case tagLink, tagLinkExec:
		return n.linked(e)
	case tagSymlink:
		n.tokens("symlink", "target", e.link, ")")
		n.endEntry()
	default:
		n.regular(e.tag == tagExec, e.size)
		if e.size == 0 {
			n.endFile()
		}
	}
	return nil
}

func (n *narCheck) regular(executable bool, size int64) {
	n.tokens("regular")
	if executable {
		n.tokens("executable", "")
	}
	n.tokens("contents")
	n.hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(size)))
	n.narPad = int(-size & 7)
}

// linked makes the NAR of a hardlink, which says nothing of its content: the file
// is read once more. If there is none any more, or it has become shorter, the hash
// will be another.
func (n *narCheck) linked(e *entry) error {
	f, err := n.open(e)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil
	case err != nil:
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return err
	}
	n.regular(e.tag == tagLinkExec, st.Size())
	for left := st.Size(); left > 0 && err == nil; left -= dedupBuffer {
		if err := n.ctx.Err(); err != nil {
			return err
		}
		_, err = io.CopyN(n.hash, f, min(left, dedupBuffer))
	}
	if err != nil && err != io.EOF {
		return err
	}
	n.endFile()
	return nil
}

// open opens a file of the object, whose path from the root may be longer than the
// system takes.
func (n *narCheck) open(e *entry) (*os.File, error) {
	var roots roots
	defer roots.close()
	root, err := roots.open(n.segment.object.Dir)
	if err != nil {
		return nil, err
	}
	fd, err := openBeneath(root.fd, string(e.path), unix.O_RDONLY)
	path := place{dir: root.path, path: e.path}.String()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (n *narCheck) endFile() {
	var zero [8]byte
	n.hash.Write(zero[:n.narPad])
	n.tokens(")")
	n.endEntry()
}

// endEntry ends an entry of a directory; the object itself is none.
func (n *narCheck) endEntry() {
	if n.cursor.depth > 0 {
		n.tokens(")")
	}
}

func (n *narCheck) tokens(tokens ...string) {
	n.buf = n.buf[:0]
	for _, t := range tokens {
		n.buf = binary.LittleEndian.AppendUint64(n.buf, uint64(len(t)))
		n.buf = append(n.buf, t...)
		n.buf = append(n.buf, make([]byte, -len(t)&7)...)
	}
	n.hash.Write(n.buf)
}

// end compares the hashes, when all of the segment was written.
func (n *narCheck) end() error {
	if err := n.endDirs(); err != nil {
		return err
	}
	if n.cursor.pos < len(n.cursor.records) {
		return errScaffold
	}
	got, want := digest.NewDigest(digest.SHA256, n.hash), n.segment.object.NARHash
	if got == want {
		return nil
	}
	err := fault.New(fault.Integrity, fmt.Errorf("verify %s: NAR hash is %s, registered is %s", n.segment.object.Path, got, want))
	return fault.Hint(err, "the store path is damaged: repair it with `nix-store --repair-path` or bring it anew")
}
