package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"terrine/store/fault"
)

// The files of a DB, in its directory.
const (
	dbName     = "db.bolt"
	lockName   = "db.lock"
	markerName = "db.exists"
)

// systemBucket holds what the DB knows of itself.
const systemBucket = ".durable"

// Schema says what the values of a database mean. A database of another name,
// or of a version that is not this one, is not opened.
type Schema struct {
	Name    string
	Version int
}

// DBOptions are the options of a database.
type DBOptions struct {
	Options

	// Schema is written into a new database and required of an old one.
	Schema Schema

	// What is what messages call the database ("the index of the store").
	What string

	// MustExist says that there was a database, whatever dir looks like: a new
	// one is not created, and transactions fail if there is none.
	MustExist bool

	// Newest refuses, as damaged, a database that is older than the last
	// transaction committed to it: one that was put back from a copy, or that
	// has lost a write. Without it a database may be put back, as befits a cache.
	Newest bool

	// Hint is attached to every error that says that the database is damaged.
	Hint string
}

// DB is a database in a directory. It may be used by any number of goroutines
// and processes at once; it holds no file open between transactions.
type DB struct {
	dir string
	o   DBOptions

	writer chan struct{} // held by the one goroutine here that waits to write

	mu      sync.Mutex
	checked bool // the whole file has been checked once by this DB
}

// OpenDB returns the database in dir. It creates the directory and the
// database if there is neither a database nor a sign that there was one.
func OpenDB(ctx context.Context, dir string, o DBOptions) (*DB, error) {
	if o.What == "" {
		o.What = "the database " + filepath.Join(dir, dbName)
	}
	db := &DB{dir: dir, o: o, writer: make(chan struct{}, 1)}
	if o.MustExist {
		return db, nil
	}
	if err := db.ensure(ctx); err != nil {
		return nil, err
	}
	return db, nil
}

func (db *DB) path(name string) string { return filepath.Join(db.dir, name) }

func (db *DB) name(verb string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s: %w", verb, db.o.What, err)
	if db.o.Hint != "" && fault.CodeOf(err) == fault.StoreDamaged {
		err = fault.Hint(err, db.o.Hint)
	}
	return err
}

func damaged(format string, args ...any) error {
	return fault.New(fault.StoreDamaged, fmt.Errorf(format, args...))
}

// create makes a new database under a temporary name and publishes it. That
// syncs it once; before, there is nothing that a crash could take.
func (db *DB) create(generation uint64, fill func(tx *Tx) error) error {
	f, err := create(db.path(dbName), 0o644, db.o.Options) // bbolt locks it
	if err != nil {
		return err
	}
	defer f.Discard()
	b, err := db.openBolt(f.temp, false, true)
	if err != nil {
		return fault.Rename(err, f.temp, f.target)
	}
	err = b.runAndClose(true, func(tx *Tx) error {
		if err := tx.Put(systemBucket, []byte("schema"), []byte(db.o.Schema.encode())); err != nil {
			return err
		}
		if err := db.setGeneration(tx, generation); err != nil || fill == nil {
			return err
		}
		return fill(tx)
	})
	if err != nil {
		return fault.Rename(err, f.temp, f.target)
	}
	return f.Commit()
}

// Replace puts a new database, filled by fill, in the place of whatever there
// is, damaged or not. Until it returns nil that stays as it was. What was in
// it can be had by reading it before.
func (db *DB) Replace(ctx context.Context, fill func(tx *Tx) error) error {
	l, err := AcquireLock(ctx, db.path(lockName), Exclusive, db.o.What, db.o.Options)
	if err != nil {
		return err
	}
	defer l.Release()
	if err := db.removeStale(); err != nil {
		return db.name("replace", err)
	}
	recorded, err := db.recorded()
	if err != nil {
		return db.name("replace", err)
	}
	generation := recorded + replacedBy
	if err := db.create(generation, fill); err != nil {
		return db.name("replace", err)
	}
	db.mu.Lock()
	db.checked = false
	db.mu.Unlock()
	return db.name("replace", db.mark(ctx, generation))
}

func (s Schema) encode() string { return s.Name + "\x00" + strconv.Itoa(s.Version) }

// accept compares the schema found in a database with the one wanted.
func (s Schema) accept(found string) error {
	name, version, ok := strings.Cut(found, "\x00")
	n, err := strconv.Atoi(version)
	switch {
	case !ok || err != nil:
		return damaged("damaged: schema %q is not one", found)
	case name != s.Name:
		return damaged("it is a database of %q, not of %q", name, s.Name)
	case n > s.Version:
		return damaged("made by a newer terrine (schema %d; this one knows %d)", n, s.Version)
	case n < s.Version:
		return damaged("made by an older terrine (schema %d; this one knows %d)", n, s.Version)
	}
	return nil
}

// View runs f in a transaction that sees one state of the database. What f
// gets from the transaction is a copy and may be kept.
func (db *DB) View(ctx context.Context, f func(tx *Tx) error) error {
	return db.transact(ctx, false, f)
}

// Update runs f in a transaction that is on disk when Update returns nil, and
// leaves no trace when f returns an error. When the disk fails at the last step
// there is an error too, and who reads next finds whether the transaction counts.
// Others wait meanwhile, so f does no other I/O. It is run again when a signal has
// interrupted the disk.
func (db *DB) Update(ctx context.Context, f func(tx *Tx) error) error {
	select {
	case db.writer <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", db.o.What, context.Cause(ctx))
	}
	defer func() { <-db.writer }()
	return db.transact(ctx, true, f)
}

func (db *DB) transact(ctx context.Context, write bool, f func(tx *Tx) error) error {
	mode := Shared
	if write {
		mode = Exclusive
	}
	l, err := AcquireLock(ctx, db.path(lockName), mode, db.o.What, db.o.Options)
	if err != nil {
		return err
	}
	defer l.Release()
	for {
		if err := db.attempt(ctx, write, f); !errors.Is(err, errInterrupted) {
			return err
		}
	}
}

// attempt is transact for who holds the lock.
func (db *DB) attempt(ctx context.Context, write bool, f func(tx *Tx) error) error {
	b, err := db.openChecked(write)
	if err != nil {
		return db.name("open", err)
	}
	var own error // an error of f is the caller's and keeps its text
	var generation uint64
	err = b.runAndClose(write, func(tx *Tx) (err error) {
		if err := tx.accept(db.o.Schema); err != nil {
			return err
		}
		if generation, err = db.generation(tx); err != nil {
			return err
		}
		if own = f(tx); own != nil || !write {
			return own
		}
		generation++
		return db.setGeneration(tx, generation)
	})
	if err == nil && write {
		db.record(ctx, generation)
	}
	if own != nil && !b.broken && fault.CodeOf(own) != fault.StoreDamaged {
		return own
	}
	if write {
		return db.name("write", err)
	}
	return db.name("read", err)
}

// openChecked opens the bbolt file after looking at it.
func (db *DB) openChecked(write bool) (*bolt, error) {
	db.mu.Lock()
	whole := !db.checked
	db.mu.Unlock()
	if err := checkFile(db.path(dbName), whole); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = damaged("%s is missing", db.path(dbName))
		}
		return nil, err
	}
	db.mu.Lock()
	db.checked = true
	db.mu.Unlock()
	return db.openBolt(db.path(dbName), !write, db.o.NoSync)
}

// bolt is one opening of a bbolt file.
type bolt struct {
	db     *bbolt.DB
	file   *os.File // what bbolt opened, to be closed when bbolt cannot
	o      *DBOptions
	broken bool // bbolt has panicked: its locks may be held, so leave it alone
}

func (db *DB) openBolt(path string, readOnly, noSync bool) (*bolt, error) {
	b := &bolt{o: &db.o}
	timeout := db.o.Timeout
	if timeout == 0 {
		timeout = time.Minute // our lock is held: only a foreign program can hold this one
	}
	o := &bbolt.Options{
		ReadOnly: readOnly, Timeout: timeout, NoStatistics: true, NoSync: noSync, NoGrowSync: noSync,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag&^os.O_CREATE, perm)
			b.file = f
			return f, err
		},
	}
	var err error
	err, b.broken = guard(func() (err error) {
		for { // bbolt gives up when a signal interrupts it
			if b.db, err = bbolt.Open(path, 0o644, o); !errors.Is(err, syscall.EINTR) {
				return err
			}
		}
	})
	if b.broken && b.file != nil {
		b.file.Close()
	}
	if err == nil {
		return b, nil
	}
	return nil, classify(err)
}

// classify gives bbolt's own complaints about a file their class; errors of
// the system pass as they are.
func classify(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fault.New(fault.Busy, errors.New("locked by another program"))
	case errors.As(err, &errno), fault.CodeOf(err) != fault.Failed, errors.Is(err, fs.ErrPermission):
		return err
	}
	return damaged("damaged: %w", err)
}

// runAndClose is run and close, the latter also when f panics.
func (b *bolt) runAndClose(write bool, f func(tx *Tx) error) (err error) {
	defer func() {
		if cerr := b.close(); err == nil {
			err = cerr
		}
	}()
	return b.run(write, f)
}

func (b *bolt) close() error {
	if b.broken {
		return b.file.Close()
	}
	err, broken := guard(b.db.Close)
	b.broken = broken
	if errors.Is(err, syscall.EINTR) {
		return nil // it was the unlocking, and the file is closed, which unlocks it too
	}
	return err
}
