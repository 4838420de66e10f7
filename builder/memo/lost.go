package memo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"terrine/store/durable"
)

// Damaged is why a layer is not known whose row was lost with a damaged database.
const Damaged = "damaged"

// dbName is how the database's file is named in the directory of a durable.DB.
const dbName = "db.bolt"

// legibleLayers returns the keys of the layers whose rows can still be seen in the
// file of a damaged database. What the rows say is not looked at.
func legibleLayers(path string) ([]digest.Digest, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, err // a FIFO would keep us waiting
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const block, overlap = 1 << 20, 256 // more than what a row begins with
	seen := map[digest.Digest]bool{}
	window := make([]byte, 0, overlap+block)
	for {
		n, err := io.ReadFull(f, window[len(window):len(window)+block])
		window = window[:len(window)+n]
		findLayers(window, seen)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return sorted(seen), nil
		}
		if err != nil {
			return nil, err
		}
		window = append(window[:0], window[len(window)-overlap:]...)
	}
}

// findLayers adds to seen the keys of rows of layers: in the file a key stands
// before its value, which begins with a checksum of four bytes.
func findLayers(b []byte, seen map[digest.Digest]bool) {
	const keyLength, checksum = len("sha256:") + 64, 4
	value := []byte(`{"diffID":"sha256:`)
	for at := 0; ; at++ {
		next := bytes.Index(b[at:], value)
		if next < 0 {
			return
		}
		at += next
		if start := at - checksum - keyLength; start >= 0 {
			if key := digest.Digest(b[start : start+keyLength]); key.Validate() == nil {
				seen[key] = true
			}
		}
	}
}

// markLost says of layers that what was known of them is lost.
func (m *Memo) markLost(tx *durable.Tx, keys []digest.Digest) error {
	for _, key := range keys {
		if err := put(tx, layerBucket, key.String(), Layer{Gone: Damaged, Used: m.Now()}); err != nil {
			return err
		}
	}
	return nil
}

// A Loss is a file that should be kept of a segment, and is not there or not
// whole.
type Loss struct {
	Segment int    // index of the key that was asked for
	What    string // "scaffold" or "compressed parts"
	Why     string // "missing", or how its length is another
}

// lookBatch is of how many segments the rows are held at a time.
const lookBatch = 1000

// Losses returns what was lost of the segments with the given keys, as far as
// their rows and the lengths of files tell: no file is opened. What GC removed is
// no loss.
func (m *Memo) Losses(ctx context.Context, keys []digest.Digest) (losses []Loss, err error) {
	err = m.view(ctx, func(tx *durable.Tx) (err error) {
		losses, err = m.losses(ctx, tx, keys)
		return err
	})
	return losses, err
}

// losses looks at the rows of one batch while others are being read: the time goes
// into what rows say and into calls of the system, so several workers share them.
func (m *Memo) losses(ctx context.Context, tx *durable.Tx, keys []digest.Digest) (losses []Loss, err error) {
	var workers sync.WaitGroup
	batches := slices.Collect(slices.Chunk(keys, lookBatch))
	rows := make([][][]byte, len(batches))
	found, errs := make([][]Loss, len(batches)), make([]error, len(batches))
	todo := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for b := range todo {
				found[b], errs[b] = m.look(ctx, b*lookBatch, batches[b], rows[b])
				rows[b] = nil
			}
		})
	}
	for b := 0; b < len(batches) && err == nil; b++ {
		if rows[b], err = getAll(tx, segmentBucket, batches[b]); err == nil {
			todo <- b
		}
	}
	close(todo)
	workers.Wait()
	return slices.Concat(found...), cmp.Or(err, cmp.Or(errs...))
}

// getAll returns values as they are in the database.
func getAll(tx *durable.Tx, bucket string, keys []digest.Digest) (values [][]byte, err error) {
	values = make([][]byte, len(keys))
	for i, key := range keys {
		if values[i], err = tx.Get(bucket, []byte(key)); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// look returns what was lost of the files of segments with these rows; first is the
// index of the first.
func (m *Memo) look(ctx context.Context, first int, keys []digest.Digest, rows [][]byte) (losses []Loss, err error) {
	var row struct { // all of a Segment that matters here
		Files map[string]int64 `json:"files"`
	}
	var kinds []string
	for i, key := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		clear(row.Files)
		if err := decode(rows[i], segmentBucket, key.String(), &row); err != nil {
			return nil, err
		}
		kinds = slices.AppendSeq(kinds[:0], maps.Keys(row.Files))
		slices.Sort(kinds)
		for _, kind := range kinds {
			why, err := lossOf(m.path(kind, key), row.Files[kind])
			if err != nil {
				return nil, err
			}
			if why != "" {
				losses = append(losses, Loss{first + i, whatOf(kind), why})
			}
		}
	}
	return losses, nil
}

// lossOf says how the file at path is not as it should be, with so many bytes.
func lossOf(path string, want int64) (why string, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "missing", nil
	case err != nil:
		return "", fmt.Errorf("look at the cache: %w", err)
	case info.Size() != want:
		return fmt.Sprintf("%d bytes instead of %d", info.Size(), want), nil
	}
	return "", nil
}

func whatOf(kind string) string {
	if kind == scaffoldKind {
		return "scaffold"
	}
	return "compressed parts"
}

// Forget removes what is kept of the segments with the given keys, and what is known
// of layers: which of them have one of these segments their keys do not tell.
func (m *Memo) Forget(ctx context.Context, keys []digest.Digest) error {
	m.mu.Lock()
	m.kept.drop(keys)
	m.found.drop(keys)
	m.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	return m.update(ctx, func(tx *durable.Tx) error {
		for _, key := range keys {
			if err := m.forgetSegment(tx, key); err != nil {
				return err
			}
		}
		return forgetLayers(tx, nil)
	})
}

func (m *Memo) forgetSegment(tx *durable.Tx, key digest.Digest) error {
	var s Segment
	if _, err := get(tx, segmentBucket, key.String(), &s); err != nil {
		return err
	}
	for _, kind := range s.kinds() {
		if err := os.Remove(m.path(kind, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return tx.Delete(segmentBucket, []byte(key))
}

// forgetLayers removes what is known of layers other than those with the given keys.
func forgetLayers(tx *durable.Tx, but []digest.Digest) error {
	var keys []string
	err := tx.Scan(layerBucket, nil, func(key, _ []byte) error {
		if !slices.Contains(but, digest.Digest(key)) {
			keys = append(keys, string(key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := tx.Delete(layerBucket, []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// forget takes files that are removed on purpose from the rows of their segments.
func (m *Memo) forget(ctx context.Context, files []file) error {
	if len(files) == 0 {
		return nil
	}
	removed := make(map[string]bool, len(files))
	for _, f := range files {
		removed[f.path] = true
	}
	segments, err := m.Segments(ctx)
	if err != nil {
		return err
	}
	kinds := map[digest.Digest][]string{} // of the files that are removed, by segment
	for key, s := range segments {
		for _, kind := range s.kinds() {
			if removed[m.path(kind, key)] {
				kinds[key] = append(kinds[key], kind)
			}
		}
	}
	return m.update(ctx, func(tx *durable.Tx) error {
		for _, key := range sorted(kinds) {
			if err := forgetFiles(tx, key, kinds[key]); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgetFiles takes files of these kinds from the row of a segment, as it is now: builds
// go on while it is found out which files to remove.
func forgetFiles(tx *durable.Tx, key digest.Digest, kinds []string) error {
	var s Segment
	if known, err := get(tx, segmentBucket, key.String(), &s); err != nil || !known {
		return err
	}
	for _, kind := range kinds {
		s.Files = s.Files.without(kind)
		s.Encoded = s.Encoded.without(strings.TrimPrefix(kind, encodedKind("")))
	}
	if len(s.Files) == 0 {
		return tx.Delete(segmentBucket, []byte(key))
	}
	return put(tx, segmentBucket, key.String(), s)
}

// Kinds of what a memo is asked for.
const (
	askedScaffolds = "scaffold"
	askedParts     = "parts"
)

// Asked says how often there was something, and how often not.
type Asked struct{ Hits, Misses int }

func (m *Memo) ask(kind string, hit bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.asked[kind]
	if hit {
		a.Hits++
	} else {
		a.Misses++
	}
	m.asked[kind] = a
}

// Asked returns, by kind, how often files were asked for since the last call.
func (m *Memo) Asked() map[string]Asked {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := m.asked
	m.asked = map[string]Asked{}
	return asked
}
