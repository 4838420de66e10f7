package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Batch publishes many files and directories with one wait for the disk. It
// is for one goroutine, except Early and what that returns.
//
// Whatever has been written below its directories before Sync, by whomever,
// is on disk after it.
type Batch struct {
	o     Options
	dirs  []*os.File // one per filesystem, opened before anything is written
	moved []string   // where syncing a whole filesystem is not to be had: what to sync one by one

	read    atomic.Int64  // by readers of Early, since the disk was asked
	syncing chan struct{} // holds something while the disk is being waited for
	failed  error         // by who is syncing: the system tells of a write that failed only once
}

// NewBatch opens a batch that publishes below the given directories. Call it
// before writing what the batch will publish: the system reports a failed
// write-back to those who had the filesystem open when it failed.
func NewBatch(o Options, dirs ...string) (*Batch, error) {
	b := &Batch{o: o, syncing: make(chan struct{}, 1)}
	seen := make(map[uint64]bool)
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			b.Close()
			return nil, err
		}
		dev, err := device(f)
		if err != nil || (seen[dev] && wholeFilesystem) {
			f.Close()
			if err != nil {
				b.Close()
				return nil, err
			}
			continue
		}
		seen[dev] = true
		b.dirs = append(b.dirs, f)
	}
	return b, nil
}

// Rename moves a file or directory to its final name on the same filesystem.
// It counts as published after Sync.
func (b *Batch) Rename(from, to string) error {
	if err := b.o.at("batch.rename"); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if !wholeFilesystem {
		b.moved = append(b.moved, to)
	}
	return b.o.at("batch.renamed")
}

// Replace moves a file or directory to a name that may be taken. What stood
// there is then at one of from and away, and no longer counts. On Linux nobody
// sees the name without either.
func (b *Batch) Replace(from, to, away string) error {
	if err := b.o.at("batch.replace"); err != nil {
		return err
	}
	ok, err := exchange(from, to)
	if !ok && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		if err = os.Rename(to, away); err == nil || errors.Is(err, fs.ErrNotExist) {
			err = os.Rename(from, to)
		}
	}
	if err != nil {
		return err
	}
	if !wholeFilesystem {
		b.moved = append(b.moved, to)
	}
	return b.o.at("batch.replaced")
}

// Wrote says that a file was written in place, to be on disk after Sync.
func (b *Batch) Wrote(path string) {
	if !wholeFilesystem {
		b.moved = append(b.moved, path)
	}
}

// earlyBytes is how much is written before the disk is asked to begin with it. The
// last wait is for no more than about as much; but who makes files meanwhile waits
// for the journal too, so that with 4 MiB an import took longer than without.
const earlyBytes = 16 << 20

// Early returns a reader of r that has the disk begin while there is more to
// come: every few mebibytes that are read, by all readers of the batch, and
// supposed to be written at once, are brought to disk by another goroutine. It
// may be called from several goroutines at once. The reader is for one of them,
// and good until Close.
func (b *Batch) Early(r io.Reader) io.Reader {
	if b.o.NoSync || !wholeFilesystem {
		return r
	}
	return &earlyReader{b: b, r: r}
}

type earlyReader struct {
	b *Batch
	r io.Reader
}

func (e *earlyReader) Read(p []byte) (int, error) {
	if e.b.read.Load() >= earlyBytes && e.b.begin() {
		e.b.read.Store(0)
	}
	n, err := e.r.Read(p)
	e.b.read.Add(int64(n))
	return n, err
}

// begin has another goroutine bring to disk what was written so far, unless one
// is at it.
func (b *Batch) begin() bool {
	select {
	case b.syncing <- struct{}{}:
	default:
		return false
	}
	go func() {
		defer func() { <-b.syncing }() // which Close waits for
		b.syncAll()
	}()
	return true
}

// syncAll is for who is syncing. After a failure there is no success: nobody
// knows what was lost.
func (b *Batch) syncAll() error {
	for _, d := range b.dirs {
		if err := syncFilesystem(d); err != nil && b.failed == nil {
			b.failed = fmt.Errorf("sync the filesystem of %s: %w", d.Name(), err)
		}
	}
	return b.failed
}

// Sync brings everything to disk: one syncfs for each filesystem, or, where
// there is no such call, an fsync for each file that Rename moved or Wrote
// named, and for the directories of the batch.
func (b *Batch) Sync() error {
	if err := b.o.at("batch.sync"); err != nil {
		return err
	}
	if b.o.NoSync {
		return nil
	}
	b.syncing <- struct{}{}
	defer func() { <-b.syncing }()
	for _, path := range b.moved {
		if err := syncTree(path); err != nil {
			return fmt.Errorf("sync %s: %w", path, err)
		}
	}
	if err := b.syncAll(); err != nil {
		return err
	}
	return b.o.at("batch.synced")
}

// Close lets the directories go. It publishes nothing and removes nothing.
func (b *Batch) Close() error {
	b.syncing <- struct{}{}
	defer func() { <-b.syncing }()
	var errs []error
	for _, d := range b.dirs {
		errs = append(errs, d.Close())
	}
	b.dirs = nil
	return errors.Join(errs...)
}

// syncTree brings a tree to disk file by file.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !(d.IsDir() || d.Type().IsRegular()) {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

func device(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fileID(info).dev, nil
}
