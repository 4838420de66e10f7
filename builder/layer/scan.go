package layer

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"terrine/store"
	"terrine/store/fault"
)

// Bounds of what a layer may hold.
const (
	// maxDepth is the depth of a NAR that Nix takes.
	maxDepth = 64
	// maxPath is the longest path that a layer may hold. A Linux path has at
	// most 4095 bytes, and engines unpack below directories of their own, whose
	// names take up to 150.
	maxPath = 4095 - 150
	// maxBytes is what the store objects of one image may have together. Sparse files
	// cost nothing, and sums of their sizes must not overflow.
	maxBytes = 1 << 55
)

// Scan makes the scaffolds of objects, in their order, by a walk that reads
// directories and file sizes, and no contents. It works on up to workers
// directories at once. With content-dedup it also reads what it has to of files
// that are equal in size, to compare them. Sockets, devices, FIFOs and names that
// no layer can hold are errors of class fault.Refused that name the file.
func Scan(ctx context.Context, objects store.Objects, policy Policy, workers int) ([]*Scaffold, error) {
	s := &scanner{owner: policy.Owner}
	s.cond.L = &s.mu
	defer s.roots.close()
	scaffolds := make([]*Scaffold, 0, objects.Len())
	for len(scaffolds) < objects.Len() {
		trees, err := s.trees(objects, len(scaffolds))
		if err != nil {
			return nil, err
		}
		if err := s.walk(ctx, workers); err != nil {
			return nil, err
		}
		for _, t := range trees {
			scaffolds = append(scaffolds, t.scaffold())
		}
	}
	if policy.ContentDedup {
		return scaffolds, dedup(ctx, objects, scaffolds, policy, workers)
	}
	return scaffolds, nil
}

// scannedAtOnce is how many objects are walked before scaffolds are made of them: what
// is known on the way takes ten times the memory.
const scannedAtOnce = 4096

// trees puts up objects for reading, from the one at index from on.
func (s *scanner) trees(objects store.Objects, from int) ([]*dirNode, error) {
	trees := make([]*dirNode, min(scannedAtOnce, objects.Len()-from))
	s.todo, s.pending = s.todo[:0], len(trees)
	for i := len(trees) - 1; i >= 0; i-- {
		o := objects.At(from + i)
		root, err := s.roots.open(o.Dir)
		if err != nil {
			return nil, err
		}
		trees[i] = &dirNode{root: root, prefix: storePrefix(string(o.Path.Dir()))}
		s.todo = append(s.todo, job{tree: trees[i], base: o.Path.Base()})
	}
	return trees, nil
}

// walk reads all that is put up.
func (s *scanner) walk(ctx context.Context, workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, s.wake)
	defer stop()
	for range max(1, workers) {
		g.Go(func() error { return s.work(ctx) })
	}
	return g.Wait()
}

// A scanner hands out directories, the last found first, so that few wait.
type scanner struct {
	owner Owner
	roots roots
	bytes atomic.Int64 // of segments so far

	mu      sync.Mutex
	cond    sync.Cond
	todo    []job
	pending int // directories in todo or being read
}

// A job is a directory to read or, with a base, an object to begin with.
type job struct {
	tree *dirNode
	base string
}

// A dirNode is a directory, or an object that is none, as it was read.
type dirNode struct {
	root   *rootDir
	prefix string
	path   string // below the store directory; "" for the node above an object
	depth  int

	records  []byte
	children []*dirNode
	cuts     []int // where in records the records of each child belong

	size, content int64
	entries       int
}

func (s *scanner) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}

func (s *scanner) work(ctx context.Context) error {
	var r dirReader
	defer r.close()
	for {
		j, ok := s.take(ctx)
		if !ok {
			return ctx.Err()
		}
		err := s.read(&r, j)
		s.done(j.tree)
		if err != nil {
			return err
		}
	}
}

func (s *scanner) take(ctx context.Context) (j job, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.todo) == 0 && s.pending > 0 && ctx.Err() == nil {
		s.cond.Wait()
	}
	if len(s.todo) == 0 || ctx.Err() != nil {
		return job{}, false
	}
	j = s.todo[len(s.todo)-1]
	s.todo = s.todo[:len(s.todo)-1]
	return j, true
}

// done puts the directories that were found in n up for reading.
func (s *scanner) done(n *dirNode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, child := range slices.Backward(n.children) {
		s.todo = append(s.todo, job{tree: child})
	}
	s.pending += len(n.children) - 1
	s.cond.Broadcast()
}

func (s *scanner) read(r *dirReader, j job) error {
	n := j.tree
	if j.base != "" {
		return s.add(n, n.root.fd, j.base, j.base, fs.ModeIrregular)
	}
	if n.depth > maxDepth {
		return n.refuse("", fmt.Sprintf("directories nest deeper than %d", maxDepth))
	}
	fd, err := r.open(n.root, []byte(n.path))
	if err != nil {
		return fmt.Errorf("open directory %s: %w", n.root.join(n.path), err)
	}
	names, err := r.list(fd)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", n.root.join(n.path), err)
	}
	slices.SortFunc(names, func(a, b dirent) int { return cmp.Compare(a.name, b.name) })
	for _, d := range names {
		if err := s.add(n, fd, d.name, n.path+"/"+d.name, d.mode); err != nil {
			return err
		}
	}
	n.records = append(n.records, tagUp)
	return nil
}

// add appends the record of one entry of n, which fd and name reach on disk.
func (s *scanner) add(n *dirNode, fd int, name, path string, mode fs.FileMode) error {
	e := entry{path: []byte(path)}
	if n.path != "" {
		e.name = name
	}
	if err := n.check(e.name, path); err != nil {
		return err
	}
	if err := e.stat(fd, name, mode); err != nil {
		return fmt.Errorf("scan %s: %w", n.root.join(path), err)
	}
	if e.size > maxBytes {
		return n.refuse(path, fmt.Sprintf("it has %d bytes, and an image may have %d", e.size, int64(maxBytes)))
	}
	size := e.tarSize(n.prefix, &s.owner)
	if s.bytes.Add(size) > maxBytes {
		return n.refuse(path, fmt.Sprintf("with it the image has more than %d bytes", int64(maxBytes)))
	}
	n.records = appendRecord(n.records, &e.record)
	if e.tag == tagDir {
		n.children = append(n.children, &dirNode{root: n.root, prefix: n.prefix, path: path, depth: n.depth + 1})
		n.cuts = append(n.cuts, len(n.records))
	}
	n.entries++
	n.content += e.content()
	n.size += size
	return nil
}

// check refuses what no layer can hold.
func (n *dirNode) check(name, path string) error {
	switch {
	case strings.HasPrefix(name, ".wh."):
		return n.refuse(path, `a name that begins with ".wh." means a deletion in a layer`)
	case len(n.prefix)+len(path) > maxPath:
		return n.refuse(path, fmt.Sprintf("the path has more than %d bytes, which container engines cannot unpack", maxPath))
	}
	return nil
}

func (n *dirNode) refuse(path, why string) error {
	if path == "" {
		path = n.path
	}
	return fault.New(fault.Refused, fmt.Errorf("scan %q: %s", n.root.join(path), why))
}

// stat fills in e's type, size and target. mode is what the directory said of
// the type: ModeIrregular if nothing.
func (e *entry) stat(fd int, name string, mode fs.FileMode) (err error) {
	if mode == fs.ModeSymlink {
		e.tag = tagSymlink
		e.link, err = readlink(fd, name)
		return err
	}
	if mode == fs.ModeDir {
		e.tag = tagDir
		return nil
	}
	var st unix.Stat_t
	_, err = ignoringEINTR(func() (int, error) { return 0, unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return err
	}
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
		e.tag, e.size, e.mtime = tagFile, st.Size, st.Mtim.Nano()-storeMtime
		if st.Mode&0o100 != 0 {
			e.tag = tagExec
		}
	case unix.S_IFDIR:
		e.tag = tagDir
	case unix.S_IFLNK:
		return e.stat(fd, name, fs.ModeSymlink)
	default:
		return fault.New(fault.Refused, fmt.Errorf("is a %s: a layer holds files, directories and symlinks only", fileType(uint32(st.Mode))))
	}
	return nil
}

func fileType(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return "FIFO"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFBLK, unix.S_IFCHR:
		return "device"
	}
	return "file of an unknown type"
}

// scaffold joins n and all below it.
func (n *dirNode) scaffold() *Scaffold {
	s := &Scaffold{}
	var records strings.Builder
	records.Grow(n.measure())
	n.flatten(s, &records)
	s.records = records.String()
	return s
}

func (n *dirNode) measure() int {
	total := len(n.records)
	for _, c := range n.children {
		total += c.measure()
	}
	return total
}

func (n *dirNode) flatten(s *Scaffold, records *strings.Builder) {
	s.Size += n.size
	s.Content += n.content
	s.Entries += n.entries
	from := 0
	for i, c := range n.children {
		records.Write(n.records[from:n.cuts[i]])
		from = n.cuts[i]
		c.flatten(s, records)
	}
	records.Write(n.records[from:])
}
