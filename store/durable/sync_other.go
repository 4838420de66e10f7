//go:build !linux

package durable

import "os"

// wholeFilesystem: no call brings a whole filesystem to disk, so a Batch
// syncs what it moved one by one, and its directories.
const wholeFilesystem = false

func syncFilesystem(dir *os.File) error { return dir.Sync() }
