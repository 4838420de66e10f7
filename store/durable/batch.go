package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

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

	begin  sync.Once
	files  chan int // descriptors of files that the disk shall begin with
	closed chan struct{}
}

// NewBatch opens a batch that publishes below the given directories. Call it
// before writing what the batch will publish: the system reports a failed
// write-back to those who had the filesystem open when it failed.
func NewBatch(o Options, dirs ...string) (*Batch, error) {
	b := &Batch{o: o}
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

// aheadFiles is how many files may wait for the disk to be asked for them. More
// would keep descriptors from those who need them.
const aheadFiles = 512

// Ahead has the disk begin with a file that is wholly written, so that little is
// left to wait for in Sync. Another goroutine asks the disk, until Close: it takes
// as long as to write a small file. It is advice, and nothing is asked when many
// files wait already. fd may be closed when Ahead returns. Ahead may be called
// from several goroutines at once.
func (b *Batch) Ahead(fd int) {
	if b.o.NoSync || !wholeFilesystem {
		return
	}
	b.begin.Do(func() {
		b.files, b.closed = make(chan int, aheadFiles), make(chan struct{})
		go func() {
			defer close(b.closed)
			for fd := range b.files {
				askForFile(fd)
			}
		}()
	})
	if len(b.files) == cap(b.files) {
		return
	}
	if own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		b.files <- own
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
		if err := syncTree(path); err != nil {
			return fmt.Errorf("sync %s: %w", path, err)
		}
	}
	for _, d := range b.dirs {
		if err := syncFilesystem(d); err != nil {
			return fmt.Errorf("sync the filesystem of %s: %w", d.Name(), err)
		}
	}
	return b.o.at("batch.synced")
}

// Close lets the directories go. It publishes nothing and removes nothing.
func (b *Batch) Close() error {
	if b.files != nil {
		close(b.files)
		<-b.closed
		b.files = nil
	}
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
