// Package durable is the one way in which terrine writes what must outlive a
// kill or a power cut: files and directories published whole, locks between
// processes, and bbolt transactions that survive a damaged file. It is the
// only package that opens bbolt.
//
// # Publishing
//
// A file: [Create], write, [File.Commit]. It appears under its name with all
// its bytes on disk, or not at all.
//
// Many objects: [NewBatch], [Batch.Rename] each from a temporary name on the
// same filesystem, one [Batch.Sync], and only then the database row that
// makes them count. A row is never on disk before what it speaks of.
//
// # Locks
//
// A lock is a flock on a file of its own, so it ends with its holder, however
// that ends. Several locks at once are taken by [LockAll], which sorts them.
// A lock file removed by hand is noticed: by who waits, who then takes the
// lock of the new file, and by who holds it, through [Lock.Check].
//
// # Databases
//
// A [DB] is a directory:
//
//	DIR/
//	├── db.bolt     the bbolt file
//	│   ├── .durable/schema → name of the schema, NUL, version in decimal
//	│   ├── .durable/generation → number of the transaction; with DBOptions.Newest
//	│   └── BUCKET/KEY      → crc32c (4 bytes, big-endian) over bucket, key and value; value
//	├── db.lock     shared by readers, exclusive for a writer, for one transaction
//	└── db.exists   says that db.bolt must exist: written after it, never removed;
//	                and with DBOptions.Newest, which generation it must have reached
//
// bbolt allows one process, so a DB opens the file for a transaction and not
// for a run. A db.bolt that is missing or empty beside its db.exists, or with
// DBOptions.Newest is older than that says, is damage, and so is whatever makes
// bbolt panic or fault: each comes back as an error of class fault.StoreDamaged.
// On the first transaction of a DB its whole file is checked (see check.go),
// because bbolt itself recurses without end on a page that points to itself.
package durable

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how to wait, and hold what tests replace. The zero value waits
// until the context ends, tells nobody, and uses the system's random source.
type Options struct {
	// Timeout bounds each wait for a lock; 0 is no bound. What runs out of it
	// gets an error of class fault.Busy.
	Timeout time.Duration

	// Waiting, if not nil, is called once for each wait that takes longer than
	// a moment, with what is waited for and the process that holds it (0:
	// not known). It may be called from several goroutines at once.
	Waiting func(what string, pid int)

	// Rand is where temporary names come from; nil is crypto/rand.
	Rand io.Reader

	// Fail, if not nil, is called at every named point at which a crash would
	// matter, and what it returns is returned there. For tests.
	Fail func(point string) error

	// NoSync leaves out every sync, to measure what they cost, or for a file that
	// can be made again. Never set it on data that matters.
	NoSync bool
}

func (o *Options) at(point string) error {
	if o.Fail == nil {
		return nil
	}
	return o.Fail(point)
}

// Token returns 16 random hexadecimal digits for a temporary name.
func (o *Options) Token() (string, error) {
	src := o.Rand
	if src == nil {
		src = rand.Reader
	}
	var b [8]byte
	if _, err := io.ReadFull(src, b[:]); err != nil {
		return "", fmt.Errorf("read random source: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// File is a file on its way to its name: Commit publishes it, Discard (which
// does nothing after Commit) removes it. Write to it as to any os.File. Its Name,
// which errors have too, is that of the target.
type File struct {
	*os.File
	target string
	temp   string // where it lies until Commit
	o      Options
	done   bool
	info   os.FileInfo // of what has been published

	written, asked int64         // by Write: bytes so far, and those the disk was asked to begin with
	asking         chan struct{} // closed when it was; nil before the first time

	mu      sync.Mutex
	pending struct{ from, to int64 } // written by WriteAt, not asked for
}

// Create opens a new temporary file beside target, to be published under that
// name by Commit. A crash leaves at most the temporary file, whose name
// begins with a dot and the name of target; RemoveStale removes it. An error reads
// "write TARGET: cause".
func Create(target string, perm os.FileMode, o Options) (*File, error) {
	for {
		f, err := create(target, perm, o)
		if err != nil {
			return nil, err
		}
		if err = f.claim(); err == nil {
			return f, nil
		}
		f.Discard()
		if !errors.Is(err, ErrLockLost) {
			return nil, createError(target, err)
		}
	}
}

// claim takes the lock that says that the file is somebody's, and returns ErrLockLost
// if RemoveStale was faster. Where there are no locks, RemoveStale removes nothing.
func (f *File) claim() error {
	if errors.Is(flock(f.File, unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) {
		return ErrLockLost // RemoveStale has it, and is about to remove the file
	}
	return (&Lock{f: f.File, path: f.temp}).Check()
}

// create is Create without a lock.
func create(target string, perm os.FileMode, o Options) (*File, error) {
	token, err := o.Token()
	if err != nil {
		return nil, createError(target, err)
	}
	temp := tempName(target, token)
	f, err := openAs(temp, target, perm)
	if err != nil {
		return nil, createError(target, err)
	}
	return &File{File: f, target: target, temp: temp, o: o}, nil
}

// tokenLen is the length of what Token returns.
const tokenLen = 16

// RemoveStale removes the temporary files of Create for target whose processes
// are gone. It does nothing in a directory that may not be listed.
func RemoveStale(target string) error {
	dir, base := filepath.Split(target)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if e, ok := errors.AsType[*fs.PathError](err); ok && !errors.Is(err, fs.ErrPermission) {
		return createError(target, e.Err)
	}
	for _, e := range entries {
		token, ok := strings.CutPrefix(e.Name(), tempBase(base))
		if !ok || len(token) != tokenLen || strings.Trim(token, "0123456789abcdef") != "" || !e.Type().IsRegular() {
			continue
		}
		if err := removeUnlocked(dir + e.Name()); err != nil {
			return fmt.Errorf("remove what is left of an earlier run: %w", err)
		}
	}
	return nil
}

func removeUnlocked(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // it is gone, or not ours
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if flock(f, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Commit brings the file to disk, gives it its name, and brings the name to
// disk. What stood under the name before is replaced. On error the temporary
// file is gone and the old one, if any, as it was; except that after an error
// of the last step either may be found after a power cut.
func (f *File) Commit() error { return f.commit(f.target) }

// CommitAs is Commit under another name in the same directory, for files whose
// name is known when they are written.
func (f *File) CommitAs(base string) error {
	dir, _ := filepath.Split(f.target)
	return f.commit(dir + base)
}

func (f *File) commit(target string) error {
	if f.done {
		return WriteError(f.target, os.ErrClosed)
	}
	defer f.Discard()
	if err := f.publish(target); err != nil {
		if e, ok := err.(*fs.PathError); ok && e.Path == f.target { // which is not the name that it gets
			err = e.Err
		}
		return WriteError(target, err)
	}
	return nil
}

func (f *File) publish(target string) error {
	f.settle()
	if err := f.o.at("file.written"); err != nil {
		return err
	}
	if !f.o.NoSync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	// Close may have an error to tell, but RemoveStale must find the lock held
	// for as long as the file has its temporary name.
	locked, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	held := os.NewFile(uintptr(locked), f.temp)
	defer held.Close()
	if err := f.Close(); err != nil {
		return err
	}
	if err := f.o.at("file.synced"); err != nil {
		return err
	}
	if err := os.Rename(f.temp, target); err != nil {
		return err
	}
	f.done = true
	if f.info, err = held.Stat(); err != nil {
		return err
	}
	if err := f.o.at("file.renamed"); err != nil || f.o.NoSync {
		return err
	}
	return SyncDir(dirOf(target))
}

// Published describes the file that Commit has published, even if another has taken
// its name since. It is nil before.
func (f *File) Published() os.FileInfo { return f.info }

// Discard removes the temporary file, unless Commit has published it.
func (f *File) Discard() {
	if f.done {
		return
	}
	f.done = true
	f.settle()
	f.Close()
	os.Remove(f.temp)
}

// WriteFile publishes data under target: Create, Write, Commit.
func WriteFile(ctx context.Context, target string, data []byte, perm os.FileMode, o Options) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := Create(target, perm, o)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return WriteError(target, err)
	}
	return f.Commit()
}

// Symlink publishes a symlink to target under name, in the place of whatever
// stood there. It is on disk when Symlink returns nil.
func Symlink(target, name string, o Options) error {
	token, err := o.Token()
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	temp := tempName(name, token)
	if err := os.Symlink(target, temp); err != nil {
		return linkError(name, err)
	}
	if err = o.at("symlink.made"); err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		os.Remove(temp)
		return linkError(name, err)
	}
	if err := o.at("symlink.renamed"); err != nil || o.NoSync {
		return err
	}
	return SyncDir(dirOf(name))
}

// linkError names the symlink that was asked for instead of the temporary one.
func linkError(name string, err error) error {
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("link %s: %w", name, err)
}

// SyncDir brings the names in a directory to disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
