package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Batch publishes many files and directories with one wait for the disk. It
// is for one goroutine.
//
// Whatever has been written below its directories before Sync, by whomever,
// is on disk after it.
type Batch struct {
	o     Options
	dirs  []*os.File // one per filesystem, opened before anything is written
	moved []string   // where syncing a whole filesystem is not to be had: what to sync one by one
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
