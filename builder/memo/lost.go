package memo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
		if err := put(tx, layerBucket, key.String(), Layer{Gone: Damaged, Used: m.now()}); err != nil {
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

// Losses returns what was lost of the segments with the given keys, as far as
// their rows and the lengths of files tell: no file is opened. What GC removed is
// no loss.
func (m *Memo) Losses(ctx context.Context, keys []digest.Digest) (losses []Loss, err error) {
	rows := make([]Lengths, len(keys)) // of files, by kind
	err = m.view(ctx, func(tx *durable.Tx) error {
		for i, key := range keys {
			var s Segment
			if _, err := get(tx, segmentBucket, key.String(), &s); err != nil {
				return err
			}
			rows[i] = s.Files
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The time goes into calls of the system, so several workers share them.
	var all sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	found, errs := make([][]Loss, workers), make([]error, workers)
	for w := range workers {
		all.Go(func() {
			for i := w * len(keys) / workers; i < (w+1)*len(keys)/workers && errs[w] == nil; i++ {
				if found[w], errs[w] = m.look(found[w], i, keys[i], rows[i]); errs[w] == nil {
					errs[w] = ctx.Err()
				}
			}
		})
	}
	all.Wait()
	return slices.Concat(found...), cmp.Or(errs...)
}

// look appends what was lost of the files of segment i.
func (m *Memo) look(losses []Loss, i int, key digest.Digest, files Lengths) ([]Loss, error) {
	for _, file := range files {
		kind, want := file.Name, file.Bytes
		info, err := os.Lstat(m.path(kind, key))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			losses = append(losses, Loss{i, whatOf(kind), "missing"})
		case err != nil:
			return losses, fmt.Errorf("look at the cache: %w", err)
		case info.Size() != want:
			losses = append(losses, Loss{i, whatOf(kind), fmt.Sprintf("%d bytes instead of %d", info.Size(), want)})
		}
	}
	return losses, nil
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
	for _, key := range keys {
		delete(m.segments, key)
		delete(m.found, key)
	}
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
		return forgetLayers(tx)
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

func forgetLayers(tx *durable.Tx) error {
	var keys []string
	err := tx.Scan(layerBucket, nil, func(key, _ []byte) error {
		keys = append(keys, string(key))
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
	changed := map[digest.Digest]Segment{}
	for key, s := range segments {
		for _, kind := range s.kinds() {
			if removed[m.path(kind, key)] {
				s.Files = s.Files.without(kind)
				s.Encoded = s.Encoded.without(strings.TrimPrefix(kind, encodedKind("")))
				changed[key] = s
			}
		}
	}
	return m.update(ctx, func(tx *durable.Tx) error {
		for _, key := range sorted(changed) {
			var err error
			if s := changed[key]; len(s.Files) == 0 {
				err = tx.Delete(segmentBucket, []byte(key))
			} else {
				err = put(tx, segmentBucket, key.String(), s)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Kinds of what a memo is asked for.
const (
	AskedScaffolds = "scaffold"
	AskedParts     = "parts"
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
