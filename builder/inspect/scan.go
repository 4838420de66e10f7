package inspect

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/compression"
)

// archive is what is kept of an archive that has passed.
type archive struct {
	members map[string]*member
	byHash  map[digest.Digest]*member
	kept    int64 // bytes of documents
	names   int   // bytes of the names of members and store paths
	seen    int   // descriptors in indexes

	references *references // is shown the contents of layers; nil for nobody
}

// member is a file in the archive: a document, a layer or something else.
type member struct {
	name   string
	size   int64
	digest digest.Digest
	text   []byte  // of a document
	config *config // what text says, once that was asked for
	layer  *layer  // of a layer
	broken error   // why it is no layer, though it begins like one
	unread error   // why it is no document, though it begins like one
	link   string  // name of another member that stands for this one
}

// layer is what is kept of a layer.
type layer struct {
	diffID  digest.Digest
	tarSize int64
	entries int
	paths   []StorePath
}

// scan reads the members of an archive, and shows refs what is in layers
// unless it is nil.
func scan(r io.Reader, refs *references) (*archive, error) {
	a := &archive{members: map[string]*member{}, byHash: map[digest.Digest]*member{}, references: refs}
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err == tar.ErrHeader && n == 0 {
			return nil, errors.New("read archive: it is no tar file, nor one that is compressed")
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		if n == maxMembers {
			return nil, fmt.Errorf("read archive: more than %d members", maxMembers)
		}
		if err := a.add(h, t); err != nil {
			return nil, fmt.Errorf("read archive: member %.200q: %w", h.Name, err)
		}
	}
	// What follows the end of a tar is padding. It is read, so that a writer
	// in front of our pipe is not told that we have gone; but /dev/zero has no end.
	n, err := io.Copy(io.Discard, io.LimitReader(r, maxPadding))
	if err == nil && n == maxPadding {
		err = fmt.Errorf("more than %d bytes after the end", maxPadding)
	}
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return a, nil
}

// add keeps what there is to tell of one member.
func (a *archive) add(h *tar.Header, r io.Reader) error {
	if err := checkName(h); err != nil {
		return err
	}
	if isSparse(h) {
		return errors.New("is a sparse file")
	}
	m := &member{name: path.Clean("/" + h.Name)[1:], size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
		if err := a.read(m, r); err != nil {
			return err
		}
	case tar.TypeLink:
		m.link = path.Clean("/" + h.Linkname)[1:]
	case tar.TypeSymlink:
		m.link = path.Join("/", path.Dir(m.name), h.Linkname)[1:]
	default:
		return nil
	}
	if _, twice := a.members[m.name]; twice {
		return errors.New("is there twice")
	}
	if a.names += len(m.name) + len(m.link); a.names > maxNames {
		return errManyNames
	}
	a.members[m.name] = m
	if m.link == "" {
		a.byHash[m.digest] = m
	}
	return nil
}

var errManyNames = fmt.Errorf("more than %d bytes of names in all", maxNames)

// checkName refuses names that are too long to keep many of them.
func checkName(h *tar.Header) error {
	if n := max(len(h.Name), len(h.Linkname)); n > maxName {
		return fmt.Errorf("a name of %d bytes: at most %d are allowed", n, maxName)
	}
	return nil
}

// isSparse reports whether the reader makes up zeros that the archive does not
// have: a few bytes can ask for exabytes of them.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// read reads a member to its end.
func (a *archive) read(m *member, r io.Reader) error {
	sum := sha256.New()
	b := bufio.NewReaderSize(io.TeeReader(r, sum), 1<<16)
	head, err := b.Peek(peekSize)
	if err != nil && err != io.EOF {
		return err
	}
	format, err := compression.Detect(b)
	if err != nil {
		return err
	}
	// Only an image that has it as a document or a layer makes what is broken an error.
	switch text := bytes.TrimLeft(head, " \t\r\n"); {
	case len(text) > 0 && (text[0] == '{' || text[0] == '['):
		if m.unread = a.keep(m); m.unread == nil {
			if m.text, err = io.ReadAll(b); err != nil {
				return err
			}
		}
	case format != compression.None || isTar(head):
		m.layer, m.broken = a.readLayer(b)
	}
	if _, err := io.Copy(io.Discard, b); err != nil {
		return err
	}
	m.digest = digest.NewDigest(digest.SHA256, sum)
	return nil
}

// keep counts a document among those that are held, unless they would be too
// much: what attests to an image may be of any size.
func (a *archive) keep(m *member) error {
	if m.size > maxDocument {
		return fmt.Errorf("a document of %d bytes: at most %d are read", m.size, maxDocument)
	}
	if a.kept+m.size > maxDocuments {
		return fmt.Errorf("documents of more than %d bytes in all", maxDocuments)
	}
	a.kept += m.size
	return nil
}

// isTar reports whether a file that begins so is a tar. One without entries is
// zeros, or nothing: some write no end of such a tar, and engines want none.
func isTar(head []byte) bool {
	const magicAt, blockSize = 257, 512
	if len(head) < blockSize {
		return len(head) == 0
	}
	if string(head[magicAt:magicAt+5]) == "ustar" || len(bytes.Trim(head, "\x00")) == 0 {
		return true
	}
	_, err := tar.NewReader(bytes.NewReader(head)).Next() // the old format has no magic, but a sum
	return err == nil
}

// readLayer reads a layer, compressed or not.
func (a *archive) readLayer(r io.Reader) (*layer, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	c := &counter{r: plain, sum: sha256.New()}
	l := &layer{}
	t := tar.NewReader(c)
	var f finder
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read layer: %w", err)
		}
		if err := checkName(h); err != nil {
			return nil, fmt.Errorf("read layer: entry %.60q: %w", h.Name, err)
		}
		l.entries++
		at := f.add(h)
		if a.names+f.names > maxNames {
			return nil, fmt.Errorf("read layer: %w", errManyNames)
		}
		if a.references != nil && at != "" {
			if err := a.references.add(at, h, t); err != nil {
				return nil, fmt.Errorf("read layer: %w", err)
			}
		}
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return nil, fmt.Errorf("read layer: %w", err)
	}
	l.paths = f.paths
	a.names += f.names
	l.diffID, l.tarSize = digest.NewDigest(digest.SHA256, c.sum), c.n
	return l, nil
}

// counter counts and hashes what is read.
type counter struct {
	r   io.Reader
	sum hash.Hash
	n   int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	return n, err
}

// finder finds the store paths in the entries of a layer.
type finder struct {
	paths []StorePath
	names int // bytes of them
	index map[string]int
	last  int // the path of the last entry; most entries have that of the one before
}

// add returns the store path that an entry is of, or "".
func (f *finder) add(h *tar.Header) string {
	name := path.Clean("/" + h.Name)
	if len(f.paths) > 0 && within(name, f.paths[f.last].Path) {
		return f.paths[f.last].grow(h.Size)
	}
	p := storePath(name)
	if p == "" || isRoot(h, p) {
		return ""
	}
	if f.index == nil {
		f.index = map[string]int{}
	}
	i, known := f.index[p]
	if !known {
		p = strings.Clone(p) // without what stands below it in name
		i = len(f.paths)
		f.index[p] = i
		f.paths = append(f.paths, StorePath{Path: p})
		f.names += len(p)
	}
	f.last = i
	return f.paths[i].grow(h.Size)
}

// grow adds a file of n bytes and returns the path. Sparse files can claim more
// than there are numbers for.
func (p *StorePath) grow(n int64) string {
	if p.Size += n; p.Size < 0 {
		p.Size = math.MaxInt64
	}
	return p.Path
}

func within(name, dir string) bool {
	return strings.HasPrefix(name, dir) && (len(name) == len(dir) || name[len(dir)] == '/')
}

// isRoot reports whether an entry at p is a link to a store path of that name, as
// those below /nix/var/nix/gcroots are, which keep what an image has beside Nix's
// database.
func isRoot(h *tar.Header, p string) bool {
	return h.Typeflag == tar.TypeSymlink && path.Base(h.Linkname) == path.Base(p)
}

// storePath returns the store path that a clean absolute path is at or below,
// in whatever store directory, or "".
func storePath(name string) string {
	if p, _, err := store.DefaultDir.SplitPath(name); err == nil {
		return string(p)
	}
	const shortest = 32 + len("-n")
	for at := 1; at < len(name); {
		end := len(name)
		if i := strings.IndexByte(name[at:], '/'); i >= 0 {
			end = at + i
		}
		if end-at >= shortest && name[at+32] == '-' {
			if p, err := store.ParsePath(name[:end]); err == nil {
				return string(p)
			}
		}
		at = end + 1
	}
	return ""
}
