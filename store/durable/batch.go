package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Batch publishes many files and directories with one wait for the disk. It
// is for one goroutine, except Ahead.
//
// Whatever has been written below its directories before Sync, by whomever,
// is on disk after it.
type Batch struct {
	o     Options
	dirs  []*os.File // one per filesystem, opened before anything is written
	moved []string   // where syncing a whole filesystem is not to be had: what to sync one by one

	most int64 // files may wait for Ahead,
	full int   // and as many are a lot

	mu      sync.Mutex
	lot     []int         // descriptors of files that the disk shall begin with
	size    int64         // bytes of those files
	lots    chan []int    // full ones; nil before the first
	asked   chan struct{} // closed when nobody is at work on them
	waiting atomic.Int64  // files in all of them
}

// NewBatch opens a batch that publishes below the given directories. Call it
// before writing what the batch will publish: the system reports a failed
// write-back to those who had the filesystem open when it failed.
func NewBatch(o Options, dirs ...string) (*Batch, error) {
	b := &Batch{o: o}
	b.most, b.full = aheadLimits()
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
		return WriteError(to, err)
	}
	b.Wrote(to)
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
		return WriteError(to, err)
	}
	b.Wrote(to)
	return b.o.at("batch.replaced")
}

// Wrote says that a file was written in place, to be on disk after Sync.
func (b *Batch) Wrote(path string) {
	if !wholeFilesystem {
		b.moved = append(b.moved, path)
	}
}

// How many files may wait for the disk to be asked for them, and what part of the
// descriptors they may be, since more would keep them from those who need them; and
// how many, or how large ones, are handed over at a time, since to wake a goroutine
// takes as long as to ask for one.
const (
	aheadFiles = 512
	aheadPart  = 16
	aheadLot   = 32
	aheadBytes = 1 << 20
)

// OpenFiles returns how many files the process may have open at once.
func OpenFiles() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 64 // less than anybody sets
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// aheadLimits returns how many files may wait, and how many are handed over.
func aheadLimits() (files int64, lot int) {
	files = int64(min(aheadFiles, OpenFiles()/aheadPart))
	return files, int(min(aheadLot, files/4+1))
}

// Ahead has the disk begin with a file of size bytes that is wholly written, so that little is
// left to wait for in Sync. Another goroutine asks the disk, until Close: it takes
// as long as to write a small file. It is advice, and nothing is asked when many
// files wait already.
//
// If Ahead returns true, the batch owns fd and closes it; else it is the caller's
// as before. Ahead may be called from several goroutines at once.
func (b *Batch) Ahead(fd int, size int64) (taken bool) {
	if b.o.NoSync || !wholeFilesystem {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting.Load() >= b.most {
		return false
	}
	b.waiting.Add(1)
	b.lot, b.size = append(b.lot, fd), b.size+size
	if len(b.lot) < b.full && b.size < aheadBytes {
		return true
	}
	if b.lots == nil {
		b.lots, b.asked = make(chan []int, aheadFiles), make(chan struct{})
		go b.ask()
	}
	b.lots <- b.lot // there is room: no more than most wait
	b.lot, b.size = make([]int, 0, b.full), 0
	return true
}

// ask asks the disk for what comes, until Close.
func (b *Batch) ask() {
	defer close(b.asked)
	for lot := range b.lots {
		for _, fd := range lot {
			askForFile(fd)
			b.waiting.Add(-1)
		}
	}
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
	for _, path := range b.moved {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue // what was moved on is named again
		}
		if err := syncTree(path); err != nil {
			return fmt.Errorf("sync %s: %w", path, err)
		}
	}
	for _, d := range b.dirs {
		if err := syncFilesystem(d); err != nil {
			return fmt.Errorf("sync the filesystem of %s: %w", d.Name(), err)
		}
	}
	b.moved = nil
	return b.o.at("batch.synced")
}

// Close lets the directories go. It publishes nothing and removes nothing.
func (b *Batch) Close() error {
	if b.lots != nil {
		close(b.lots)
		<-b.asked
		b.lots = nil
	}
	for _, fd := range b.lot {
		_ = unix.Close(fd)
	}
	b.lot = nil
	var errs []error
	for _, d := range b.dirs {
		errs = append(errs, d.Close())
	}
	b.dirs = nil
	return errors.Join(errs...)
}

// syncTree brings a tree to disk file by file.
func syncTree(path string) error {
	up, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer up.Close()
	return syncBelow(up, filepath.Base(path))
}

// syncBelow goes down from one directory to the next, for a path may be longer than
// the system takes: 1,023 bytes on macOS.
func syncBelow(up *os.Root, name string) error {
	info, err := up.Lstat(name)
	if err != nil || !(info.IsDir() || info.Mode().IsRegular()) {
		return err
	}
	f, err := up.Open(name)
	if err != nil {
		return err
	}
	err = f.Sync()
	var entries []fs.DirEntry
	if err == nil && info.IsDir() {
		entries, err = f.ReadDir(-1)
	}
	if err = errors.Join(err, f.Close()); err != nil || !info.IsDir() {
		return err
	}
	dir, err := up.OpenRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, e := range entries {
		if err := syncBelow(dir, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

func device(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, &fs.PathError{Op: "stat", Path: f.Name(), Err: errors.ErrUnsupported}
	}
	return uint64(st.Dev), nil
}
