package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"terrine/store/durable"
	"terrine/store/fault"
)

// The layout below ROOT. See the package comment.
const (
	objectsDir = "nix/store"
	poolDir    = objectsDir + "/.links"
	stateDir   = "nix/var/terrine"
	infoDir    = stateDir + "/info"
	locksDir   = stateDir + "/locks"
	ownersDir  = stateDir + "/owners"
	rootsDir   = stateDir + "/roots"
	linksDir   = stateDir + "/links"
	publishing = stateDir + "/store.lock"
	gate       = stateDir + "/store.gate"

	nixState = "nix/var/nix" // of a Nix whose store would be ours too
)

// indexSchema changes with the meaning of the index's rows.
const indexSchema = 1

const rebuildHint = "run: terrine store rebuild"

// Options of a Store. The zero value is a store of /nix/store that waits for
// locks as long as it takes.
type Options struct {
	// Dir is the store directory that the paths of the store are in, whatever
	// ROOT is; "" is DefaultDir. A store knows no paths of another.
	Dir Dir

	// LockTimeout bounds each wait for another process; 0 is no bound. When it
	// runs out there is an error of class fault.Busy.
	LockTimeout time.Duration

	// Waiting, if not nil, is called when something is waited for: what it is,
	// and the number of the process that holds it (0: not known). It may be
	// called from several goroutines at once.
	Waiting func(what string, pid int)

	// Progress is told how long work goes on; nil for nobody.
	Progress Progress

	// For tests: the clock, the random source, named points at which to fail,
	// and whether to leave out syncs to measure what they cost.
	Now    func() time.Time
	Rand   io.Reader
	Fail   func(point string) error
	NoSync bool
}

func (o *Options) durable() durable.Options {
	return durable.Options{Timeout: o.LockTimeout, Waiting: o.Waiting, Rand: o.Rand, Fail: o.Fail, NoSync: o.NoSync}
}

func (o *Options) at(point string) error {
	if o.Fail == nil {
		return nil
	}
	return o.Fail(point)
}

// Store is a store of terrine's own. It may be used by any number of
// goroutines at once, and its directory by any number of processes.
type Store struct {
	root string
	o    Options
	db   *durable.DB

	commits commits

	mu    sync.Mutex
	owner *owner        // of this Store's temporary directories and roots; nil until it needs one
	stay  *durable.Lock // keeps collectors out, where no temporary roots can be noted
}

// Open returns the store in the directory root, which it creates if absent. One that
// is Nix's is refused: its paths would be garbage here.
// A store whose index is lost or damaged opens, so that it can be rebuilt;
// whatever reads the index then fails with class fault.StoreDamaged.
//
// Close it when done.
func Open(ctx context.Context, root string, o Options) (*Store, error) {
	s, used, err := open(ctx, root, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, err)
	}
	if s.db, err = durable.OpenDB(ctx, s.path(stateDir), s.dbOptions(used)); err != nil {
		return nil, err // which names the store
	}
	return s, nil
}

// open returns a Store without its index, and whether it has been used.
func open(ctx context.Context, root string, o Options) (s *Store, used bool, err error) {
	if o.Dir == "" {
		o.Dir = DefaultDir
	}
	if _, err := parseDir(string(o.Dir)); err != nil {
		return nil, false, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = silent{}
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, false, err
	}
	// What has no row would be garbage to us.
	if _, err := os.Lstat(filepath.Join(root, nixState)); err == nil {
		err := fault.New(fault.Refused, errors.New("it is a store of Nix"))
		return nil, false, fault.Hint(err, "name another directory; paths in the host's /nix/store are found without")
	}
	s = &Store{root: root, o: o, commits: commits{leading: make(chan struct{}, 1)}}
	for _, dir := range []string{objectsDir, infoDir, locksDir, ownersDir, rootsDir, linksDir} {
		if err := makeDir(s.path(dir)); err != nil {
			return nil, false, err
		}
	}
	used, err = s.inUse(ctx)
	return s, used, err
}

// errInUse ends a search.
var errInUse = errors.New("the store has been used")

// inUse reports whether there is an info file or an object. What else may lie
// in a new directory, such as lost+found, says nothing.
func (s *Store) inUse(ctx context.Context) (bool, error) {
	for _, dir := range []string{infoDir, objectsDir} {
		err := eachName(ctx, s.path(dir), func(name string) error {
			if checkBase(name) == nil {
				return errInUse
			}
			return nil
		})
		if errors.Is(err, errInUse) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// dbOptions are those of the index. It must exist once there are info files or objects.
func (s *Store) dbOptions(mustExist bool) durable.DBOptions {
	return durable.DBOptions{
		Options:   s.o.durable(),
		Schema:    durable.Schema{Name: "terrine store of " + string(s.o.Dir), Version: indexSchema},
		What:      "the index of the store " + s.root,
		Hint:      rebuildHint,
		MustExist: mustExist,
		Newest:    true, // an older one would make garbage of what came after it
	}
}

// makeDir is MkdirAll, but asks nothing of a filesystem that is read-only and
// has the directory.
func makeDir(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.MkdirAll(path, 0o755)
}

// Close removes what the Store has on its way, and lets go what it held. Nothing that was acknowledged
// depends on it, and without it the next process that writes cleans up.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.stay != nil {
		errs = append(errs, s.stay.Release())
		s.stay = nil
	}
	if s.owner != nil {
		errs = append(errs, s.disown(context.Background(), s.owner))
		s.owner = nil
	}
	return errors.Join(errs...)
}

// Dir returns the store directory that the paths of the store are in.
func (s *Store) Dir() Dir { return s.o.Dir }

// RealDir returns the directory on disk that holds the objects under their
// base names: what Object.Dir is for this store.
func (s *Store) RealDir() string { return s.path(objectsDir) }

// path returns the place of something below ROOT.
func (s *Store) path(rel ...string) string {
	return filepath.Join(append([]string{s.root}, rel...)...)
}

// objectPath returns the place on disk of an object.
func (s *Store) objectPath(p Path) string { return s.path(objectsDir, p.Base()) }

// own reports whether p is a path that the store could have.
func (s *Store) own(p Path) error {
	_, err := s.o.Dir.ParsePath(string(p))
	return err
}

// ownAll returns the error of what is not found for the first of paths that the
// store could not have.
func (s *Store) ownAll(paths ...Path) error {
	for _, p := range paths {
		if s.own(p) != nil {
			return notFound(p)
		}
	}
	return nil
}
