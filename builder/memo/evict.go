package memo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/store/durable"
)

// Evicted is why a layer is not known that GC removed.
const Evicted = "evicted"

// orphanAge is how old a file is that no build can still be about to save a row
// for.
const orphanAge = 24 * time.Hour

// tempAge is how long a file that is not yet published is left alone: a build may
// be writing it.
const tempAge = time.Hour

// underWay reports whether f may be one that a build is writing.
func (m *Memo) underWay(f file) bool {
	return f.temporary() && m.Now().Sub(f.used) < tempAge
}

// Limits say what GC leaves. A zero field is no limit.
type Limits struct {
	MaxSize   int64         // bytes of files
	OlderThan time.Duration // since last use
}

// Progress is told how something goes on that looks at many files, by one goroutine.
type Progress interface {
	// Stage begins a stage for files of total bytes.
	Stage(name string, total int64)
	// Add says that a file of n bytes is done.
	Add(n int64)
}

type silent struct{}

func (silent) Stage(string, int64) {}
func (silent) Add(int64)           {}

// stage begins a stage for files.
func (m *Memo) stage(name string, files []file) {
	total := int64(0)
	for _, f := range files {
		total += f.size
	}
	m.o.Progress.Stage(name, total)
}

// A Removal says what GC and Verify removed.
type Removal struct {
	Files  int
	Bytes  int64
	Layers int // rows
}

// GC removes what was not used for longest until limits are kept, and files that
// a crash left. With dry it only says what it would remove. Rows go first: what is
// still there if GC is stopped then, a later one removes.
func (m *Memo) GC(ctx context.Context, limits Limits, dry bool) (r Removal, err error) {
	files, err := m.files(ctx)
	if err != nil {
		return r, err
	}
	known, err := m.knownFiles(ctx)
	if err != nil {
		return r, err
	}
	files = m.superfluous(files, known, limits)
	if !dry {
		if err := errors.Join(m.db.RemoveStale(ctx), m.forget(ctx, files)); err != nil {
			return r, err
		}
	}
	if err := m.remove(ctx, files, dry, &r); err != nil {
		return r, err
	}
	r.Layers, err = m.evictLayers(ctx, limits.OlderThan, dry)
	return r, err
}

// superfluous returns which of files are beyond limits or of a crash. known are
// those of which there are rows.
func (m *Memo) superfluous(files []file, known map[string]bool, limits Limits) (out []file) {
	slices.SortFunc(files, func(a, b file) int { return a.used.Compare(b.used) })
	total := int64(0)
	for _, f := range files {
		total += f.size
	}
	for _, f := range files {
		age := m.Now().Sub(f.used)
		old := limits.OlderThan > 0 && age > limits.OlderThan
		large := limits.MaxSize > 0 && total > limits.MaxSize
		orphan := !known[f.path] && age > orphanAge
		if (old || large || orphan) && !m.underWay(f) {
			total -= f.size
			out = append(out, f)
		}
	}
	return out
}

// evictLayers leaves of rows that were not used for long just that they were
// there.
func (m *Memo) evictLayers(ctx context.Context, olderThan time.Duration, dry bool) (n int, err error) {
	if olderThan == 0 {
		return 0, nil
	}
	evict := func(tx *durable.Tx) error {
		var old []string
		err := each(tx, layerBucket, func(key string, l *Layer) {
			if l.Gone == "" && m.Now().Sub(l.Used) > olderThan {
				old = append(old, key)
			}
		})
		if n = len(old); err != nil || dry {
			return err
		}
		for _, key := range old {
			if err := put(tx, layerBucket, key, Layer{Gone: Evicted, Used: m.Now()}); err != nil {
				return err
			}
		}
		return nil
	}
	if dry {
		err = m.view(ctx, evict)
	} else {
		err = m.update(ctx, evict)
	}
	return n, err
}

// A file is one of the files below blobs.
type file struct {
	path string
	size int64
	used time.Time
}

// temporary reports whether f is not yet published.
func (f file) temporary() bool { return strings.HasPrefix(filepath.Base(f.path), tempPrefix) }

func (m *Memo) files(ctx context.Context) (files []file, err error) {
	err = filepath.WalkDir(filepath.Join(m.dir, blobDir), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) || d.IsDir() {
			return nil
		}
		if err == nil {
			files = append(files, file{path: path, size: info.Size(), used: info.ModTime()})
		}
		return err
	})
	return files, err
}

// knownFiles returns the files that rows speak of.
func (m *Memo) knownFiles(ctx context.Context) (map[string]bool, error) {
	known := map[string]bool{}
	segments, err := m.Segments(ctx)
	for key, s := range segments {
		for _, kind := range s.kinds() {
			known[m.path(kind, key)] = true
		}
	}
	return known, err
}

// Segments returns all rows of segments.
func (m *Memo) Segments(ctx context.Context) (map[digest.Digest]Segment, error) {
	all := map[digest.Digest]Segment{}
	err := m.view(ctx, func(tx *durable.Tx) error {
		return each(tx, segmentBucket, func(key string, s *Segment) { all[digest.Digest(key)] = *s })
	})
	return all, err
}

// Stat says how much is kept.
type Stat struct {
	Dir      string `json:"dir"`
	Layers   int    `json:"layers"`   // whose DiffID is known
	Segments int    `json:"segments"` // of which something is known
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"` // of files
}

// Stat counts what is kept.
func (m *Memo) Stat(ctx context.Context) (s Stat, err error) {
	s.Dir = m.dir
	files, err := m.files(ctx)
	if err != nil {
		return s, err
	}
	s.Files = len(files)
	for _, f := range files {
		s.Bytes += f.size
	}
	err = m.view(ctx, func(tx *durable.Tx) error {
		s.Layers, s.Segments = 0, 0
		if err := tx.Scan(segmentBucket, nil, func(_, _ []byte) error { s.Segments++; return nil }); err != nil {
			return err
		}
		return each(tx, layerBucket, func(_ string, l *Layer) {
			if l.Known() {
				s.Layers++
			}
		})
	})
	return s, err
}

// Verify reads every file and removes those that are damaged, which Warn is told
// of.
func (m *Memo) Verify(ctx context.Context) (r Removal, err error) {
	files, err := m.files(ctx)
	if err != nil {
		return r, err
	}
	files = slices.DeleteFunc(files, file.temporary)
	m.stage("verify", files)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		err := verifyFile(f.path)
		if errors.Is(err, errDamaged) || errors.Is(err, errVersion) {
			m.drop(f.path, "a file", err)
			r.Files++
			r.Bytes += f.size
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
		m.o.Progress.Add(f.size)
	}
	return r, nil
}

func verifyFile(path string) error {
	c, err := openChunked(path)
	if err != nil {
		return err
	}
	defer c.close()
	var buf []byte
	for i := range c.ends {
		if buf, err = c.append(buf[:0], i); err != nil {
			return err
		}
	}
	return nil
}

// Clear removes everything that is kept, and leaves what a build is just writing.
// Rows go first, as with GC, but on a full disk, where there is no room for a database
// without any before files are gone.
func (m *Memo) Clear(ctx context.Context) (r Removal, err error) {
	files, err := m.files(ctx)
	if err != nil {
		return r, err
	}
	if s, err := m.Stat(ctx); err == nil { // a damaged database has no rows to speak of
		r.Layers = s.Layers
	}
	rows := m.db.Replace(ctx, nil)
	full := errors.Is(rows, syscall.ENOSPC) || errors.Is(rows, syscall.EDQUOT)
	if rows != nil && !full {
		return Removal{}, rows
	}
	err = m.remove(ctx, slices.DeleteFunc(files, m.underWay), false, &r)
	if err == nil && full {
		err = m.db.Replace(ctx, nil)
	}
	return r, err
}

// remove removes files, or with dry does not, and counts them. What a build has used or
// made anew since they were found stays: it is about to save rows that speak of it.
func (m *Memo) remove(ctx context.Context, files []file, dry bool, r *Removal) error {
	m.stage("remove", files)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.o.Progress.Add(f.size)
		if info, err := os.Lstat(f.path); err == nil && !info.ModTime().Equal(f.used) {
			continue
		}
		if !dry {
			if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		r.Files++
		r.Bytes += f.size
	}
	return nil
}
