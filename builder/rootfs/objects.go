package rootfs

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"terrine/store"
)

// maxHops bounds the links on the way to a file, as the kernel does.
const maxHops = 40

// objects reads store objects. Each physical store directory is opened once,
// never listed, and files are reached from it.
type objects struct {
	dir   store.Dir
	known map[store.Path]store.Object
	find  func(store.Path) (store.Object, bool)
	roots map[string]*os.Root // by physical directory
}

func newObjects(o Options) *objects {
	s := &objects{dir: o.StoreDir, find: o.Find, known: make(map[store.Path]store.Object), roots: make(map[string]*os.Root)}
	for _, obj := range slices.Concat(o.Contents, o.Closure) {
		s.known[obj.Path] = obj
	}
	for _, obj := range []*store.Object{o.CACertificates, o.BinSh, o.UsrBinEnv} {
		if obj != nil {
			s.known[obj.Path] = *obj
		}
	}
	return s
}

func (s *objects) close() {
	for _, root := range s.roots {
		root.Close()
	}
}

// object returns the store object of p.
func (s *objects) object(p store.Path) (store.Object, bool) {
	if obj, ok := s.known[p]; ok {
		return obj, true
	}
	if s.find == nil {
		return store.Object{}, false
	}
	obj, ok := s.find(p)
	if ok {
		s.known[p] = obj
	}
	return obj, ok
}

// place is a file or directory in a store object.
type place struct {
	object store.Object
	rel    string // below the object; empty for the object itself
}

// name is the place relative to the object's physical store directory.
func (p place) name() string { return path.Join(p.object.Path.Base(), p.rel) }

// logical is the absolute path that links to the place have.
func (p place) logical() string { return path.Join(string(p.object.Path), p.rel) }

// physical is where it lies on disk.
func (p place) physical() string {
	return filepath.Join(p.object.Dir, filepath.FromSlash(p.name()))
}

func (p place) join(name string) place { return place{p.object, path.Join(p.rel, name)} }

// holds reports whether q is p or below it.
func (p place) holds(q place) bool {
	return p.object.Path == q.object.Path && (p.rel == "" || p.rel == q.rel || strings.HasPrefix(q.rel, p.rel+"/"))
}

func (s *objects) rootOf(p place) (*os.Root, error) {
	root, ok := s.roots[p.object.Dir]
	if !ok {
		var err error
		if root, err = os.OpenRoot(p.object.Dir); err != nil {
			return nil, err
		}
		s.roots[p.object.Dir] = root
	}
	return root, nil
}

func (s *objects) lstat(p place) (fs.FileInfo, error) {
	root, err := s.rootOf(p)
	if err != nil {
		return nil, err
	}
	return lstat(root, p.name())
}

// open opens a place that lstat has said to be a directory or regular file.
func (s *objects) open(p place) (*os.File, error) {
	root, err := s.rootOf(p)
	if err != nil {
		return nil, err
	}
	return root.Open(p.name())
}

func (s *objects) readlink(p place) (string, error) {
	root, err := s.rootOf(p)
	if err != nil {
		return "", err
	}
	return root.Readlink(p.name())
}

// readDir returns the entries of a directory, sorted by bytes.
func (s *objects) readDir(p place) ([]fs.DirEntry, error) {
	f, err := s.open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, err
}

// resolve follows links from p until there is none, as a process in the image
// would, but through store objects only. The info is nil for what is not
// there, goes in a circle, or leads out of the store: the latter would be
// another file on this machine than in the image.
func (s *objects) resolve(p place) (place, fs.FileInfo, error) {
	return s.walk(nil, splitPath(p.logical()))
}

// resolveLink is resolve for a link that was found by walking down to it: the
// directories above it are no links, and need not be looked at.
func (s *objects) resolveLink(p place) (place, fs.FileInfo, error) {
	parts := splitPath(p.logical())
	return s.walk(parts[:len(parts)-1], parts[len(parts)-1:])
}

func (s *objects) walk(done, todo []string) (place, fs.FileInfo, error) {
	w := walk{objects: s, done: done, todo: todo, store: splitPath(string(s.dir))}
	for len(w.todo) > 0 {
		if ok, err := w.step(); !ok || err != nil {
			return place{}, nil, err
		}
	}
	return w.at, w.info, nil
}

// walk is a path being resolved, one component after the other.
type walk struct {
	objects *objects
	store   []string // components of the store directory
	done    []string // from the root, free of links
	todo    []string
	hops    int
	at      place
	info    fs.FileInfo // of at, nil above the store
}

// step takes the next component. It is false if there is no such file.
func (w *walk) step() (bool, error) {
	part := w.todo[0]
	w.todo = w.todo[1:]
	if part == ".." {
		w.done = w.done[:max(0, len(w.done)-1)]
	} else {
		w.done = append(slices.Clip(w.done), part)
	}
	w.info = nil
	if n := len(w.done); n <= len(w.store) {
		return slices.Equal(w.done, w.store[:n]), nil
	}
	p, rest, err := w.objects.dir.SplitPath("/" + strings.Join(w.done, "/"))
	if err != nil {
		return false, nil
	}
	obj, ok := w.objects.object(p)
	if !ok {
		return false, nil
	}
	return w.enter(place{obj, strings.TrimPrefix(rest, "/")})
}

// enter looks at p, which is the place of done.
func (w *walk) enter(p place) (ok bool, err error) {
	w.at = p
	w.info, err = w.objects.lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENAMETOOLONG):
		// A target of a link is any text: no file has a name of more than 255 bytes.
		return false, nil
	case err != nil:
		return false, err
	case w.info.Mode()&fs.ModeSymlink != 0:
		return w.follow()
	}
	return len(w.todo) == 0 || w.info.IsDir(), nil
}

// follow puts the target of the link at w.at before what is still to do.
func (w *walk) follow() (bool, error) {
	target, err := w.objects.readlink(w.at)
	if err != nil {
		return false, err
	}
	if path.IsAbs(target) {
		w.done = nil
	} else {
		w.done = w.done[:len(w.done)-1]
	}
	w.info = nil
	w.todo = append(splitPath(target), w.todo...)
	w.hops++
	return w.hops <= maxHops, nil
}

// splitPath returns the components of a path that are not empty and not ".".
func splitPath(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(part string) bool { return part == "" || part == "." })
}
