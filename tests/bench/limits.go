package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/klauspost/pgzip"
	"golang.org/x/sync/errgroup"
)

// The physical limits that a cold build is measured against. Each is a program
// that does one thing which the build cannot do without, and nothing else: this
// one, called again with the name of the limit. So it is measured as others are.
const (
	limitRead  = "limit-read"  // LIST ROOT: read and hash every file of the paths in LIST
	limitWrite = "limit-write" // FILE OUT: write the bytes of FILE, which are in memory, to OUT, until they are on disk
	limitPgzip = "limit-pgzip" // FILE: compress it as one stream
)

const limitBlock = 1 << 20

// limit runs the limit that args ask for, if they do.
func limit(ctx context.Context, args []string) (asked bool, err error) {
	if len(args) < 2 {
		return false, nil
	}
	switch args[0] {
	case limitRead:
		return true, readAndHash(ctx, args[1], args[2])
	case limitWrite:
		return true, writeOut(args[1], args[2])
	case limitPgzip:
		return true, compressAlone(args[1])
	case durableAdd:
		return true, addDurably(ctx, args[1], args[2], args[3], args[4])
	}
	return false, nil
}

// limitSide is the side that runs a limit.
func limitSide(output string, args ...string) side {
	return side{output: output, command: func(ctx context.Context) (*exec.Cmd, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return exec.CommandContext(ctx, self, args...), nil
	}}
}

// readAndHash reads and hashes the files below the paths in list, by all
// processors.
func readAndHash(ctx context.Context, list, root string) error {
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer f.Close()
	g, ctx := errgroup.WithContext(ctx)
	files := make(chan string, 1000)
	for range runtime.NumCPU() {
		g.Go(func() error { return hashFiles(files) })
	}
	g.Go(func() error {
		defer close(files)
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			err := filepath.WalkDir(filepath.Join(root, lines.Text()), func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				select {
				case files <- path:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			if err != nil {
				return err
			}
		}
		return lines.Err()
	})
	return g.Wait()
}

func hashFiles(files <-chan string) error {
	h, buf := sha256.New(), make([]byte, limitBlock)
	for path := range files {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		for n := 0; err == nil; {
			n, err = f.Read(buf)
			h.Write(buf[:n])
		}
		f.Close()
		if !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// writeOut writes as many bytes as file has, of what it begins with, in the
// largest pieces that any program would take.
func writeOut(file, out string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	buf := make([]byte, limitBlock)
	if _, err := in.ReadAt(buf, info.Size()/2); err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	for left := info.Size(); left > 0; {
		n, err := f.Write(buf[:min(left, limitBlock)])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return f.Sync()
}

// compressAlone compresses a file by pgzip on all processors, as terrine sets it:
// level 6, blocks of 1 MiB.
func compressAlone(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := pgzip.NewWriterLevel(io.Discard, 6)
	if err != nil {
		return err
	}
	if err := z.SetConcurrency(limitBlock, runtime.NumCPU()); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(z, struct{ io.Reader }{f}, make([]byte, limitBlock)); err != nil {
		return fmt.Errorf("compress %s: %w", file, err)
	}
	return z.Close()
}
