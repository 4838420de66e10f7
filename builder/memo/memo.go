// Package memo remembers what was worked out about layers, so that no work is
// done twice: DiffIDs and digests under the keys of layers, and under the keys
// of segments their scaffolds and their encoded parts.
//
// A key says everything that a value depends on (see layer.Key), so a value
// never grows stale; it can only be absent. All of it can be made again, and
// whoever deletes the directory loses time and nothing else.
//
// On disk, below DIR (by default $XDG_CACHE_HOME/terrine):
//
//	DIR/
//	├── CACHEDIR.TAG            tells backup programs to pass by
//	├── db.bolt …               a durable.DB; buckets:
//	│   ├── layer/KEY           → Layer, as JSON
//	│   ├── segment/KEY         → Segment, as JSON
//	│   └── output/PATH         → Output, as JSON
//	└── blobs/XX/NAME           a scaffold, encoded parts, a host's closure or the
//	                            division of one; see file.go
//
// Rows are truth for `probe`, files for whoever reads them: a file checks
// itself when it is read, and one that fails is dropped, reported and made anew.
// Files are published by rename, without waiting for the disk: what a power cut
// leaves of them fails its check.
package memo

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/store/durable"
	"terrine/store/fault"
)

// Buckets of the database.
const (
	layerBucket   = "layer"
	segmentBucket = "segment"
	outputBucket  = "output"
)

// A Layer is what is known of a layer.
type Layer struct {
	DiffID digest.Digest `json:"diffID"`
	Size   int64         `json:"size"` // bytes of the uncompressed tar
	// Sum is that of its segments, and tells whether they are what the DiffID is of.
	// It is nil in the root layer, and in rows of older versions.
	Sum *layer.Sum `json:"sum,omitempty"`
	// Blobs are the layer's compressed forms by the ID of their codec.
	Blobs map[string]Blob `json:"blobs,omitempty"`
	// Notes are warnings that came up when the layer was made, to be given again.
	Notes []string `json:"notes,omitempty"`
	// Used is when the row was last asked for, to a day.
	Used time.Time `json:"used"`
	// Gone says why nothing else is known any more: Evicted or Damaged.
	Gone string `json:"gone,omitempty"`
}

// Stale reports whether the row should be saved again, to say that it is in use.
func (m *Memo) Stale(l *Layer) bool { return m.Now().Sub(l.Used) > 24*time.Hour }

// Known reports whether the layer's digest is known. It is false for nil.
func (l *Layer) Known() bool { return l != nil && l.DiffID != "" }

// Has reports whether the row is of segments with the given sum, nil standing for one
// that is not known.
func (l *Layer) Has(sum *layer.Sum) bool { return sameSum(l.Sum, sum) }

func sameSum(a, b *layer.Sum) bool { return a == b || a != nil && b != nil && *a == *b }

// A Blob is a compressed layer.
type Blob struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // bytes
}

// A Segment is what is known of a segment.
type Segment struct {
	Path    string `json:"path"`    // the store path
	Size    int64  `json:"size"`    // bytes of tar
	Content int64  `json:"content"` // bytes of file content in it
	Entries int    `json:"entries"`
	// Sum is what was read of the segment; nil if the row is of an older version, or was
	// lost and written again.
	Sum *layer.Sum `json:"sum,omitempty"`
	// Encoded are the lengths of its encoded forms, by codec.
	Encoded Lengths `json:"encoded,omitempty"`
	// Files are the lengths of the files that are kept of it, by the kind of what is
	// in them. One that is not there, or has another length, is damaged.
	Files Lengths `json:"files,omitempty"`
}

// An Output is a file that a build wrote, and what it was then.
type Output struct {
	Key  digest.Digest `json:"key"`  // of all that the file's bytes depend on
	Stat string        `json:"stat"` // what would be another after a change
	// Boot names the run of the system in which the file was written, if nobody
	// waited for the disk: after it the file may be another. Else it is empty.
	Boot string `json:"boot,omitempty"`
}

// Options are a memo's surroundings. The zero value is good for use.
type Options struct {
	// Durable is for the database: how long to wait for others, what to say.
	Durable durable.Options
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Warn is told of damage that was found and removed; nil for nobody. It may
	// be called from several goroutines at once.
	Warn func(string)
	// Progress is told how GC, Verify and Clear go on; nil for nobody.
	Progress Progress
	// Strict makes an error of class fault.StoreDamaged of a damaged database,
	// which is else told to Warn and begun anew.
	Strict bool
}

// A Memo is an open memo. Its methods may be called from several goroutines at
// once, and several processes may have the same memo open.
type Memo struct {
	dir string
	o   Options
	db  *durable.DB

	mu    sync.Mutex
	kept  *notes           // to be written by Save
	found *notes           // likewise, should a layer be new
	asked map[string]Asked // by kind
}

// schema is that of the rows above.
var schema = durable.Schema{Name: "terrine memo", Version: 1}

// cacheDirTag follows https://bford.info/cachedir/.
const cacheDirTag = "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache of terrine. It may be deleted at any time.\n"

// Open opens the memo in dir, and makes it if there is none. A damaged database
// is told to Warn and begun anew. A directory whose blobs are not a memo's is an
// error of class fault.Refused, since GC, Verify and Clear remove what is there.
func Open(ctx context.Context, dir string, o Options) (*Memo, error) {
	if o.Progress == nil {
		o.Progress = silent{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Memo{dir: dir, o: o, kept: &notes{}, found: &notes{}, asked: map[string]Asked{}}
	if err := m.makeDir(); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return m, m.openDB(ctx)
}

// makeDir makes the directory of the memo. The tag comes before the blobs, so
// that blobs beside neither it nor a database are of something else.
func (m *Memo) makeDir() error {
	tag, blobs := filepath.Join(m.dir, "CACHEDIR.TAG"), filepath.Join(m.dir, blobDir)
	if exists(blobs) && !exists(tag) && !exists(filepath.Join(m.dir, dbName)) && !ours(blobs) {
		err := fmt.Errorf("%s is no cache, and has blobs of something else", m.dir)
		return fault.New(fault.Refused, fault.Hint(err, "name another directory"))
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	if !exists(tag) {
		if err := os.WriteFile(tag, []byte(cacheDirTag), 0o644); err != nil {
			return err
		}
	}
	return os.MkdirAll(blobs, 0o700)
}

// ours reports whether all of blobs is a memo's. That is left of one that was deleted
// while a build wrote into it.
func ours(blobs string) bool {
	shards, err := os.ReadDir(blobs)
	for _, shard := range shards {
		if len(shard.Name()) != 2 {
			return false
		}
	}
	return err == nil && filepath.WalkDir(blobs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), tempPrefix) {
			return err
		}
		return verifyFile(path)
	}) == nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (m *Memo) openDB(ctx context.Context) (err error) {
	o := durable.DBOptions{Options: m.o.Durable, Schema: schema, What: "the cache's memo", Hint: "run `terrine cache clear`"}
	m.db, err = durable.OpenDB(ctx, m.dir, o)
	return err
}

// Now is the time by the memo's clock.
func (m *Memo) Now() time.Time { return m.o.Now() }

func (m *Memo) warn(format string, args ...any) {
	if m.o.Warn != nil {
		m.o.Warn(fmt.Sprintf(format, args...))
	}
}

// Layers returns what is known of the layers with the given keys, nil for one
// that is unknown.
func (m *Memo) Layers(ctx context.Context, keys []digest.Digest) ([]*Layer, error) {
	layers := make([]*Layer, len(keys))
	err := m.view(ctx, func(tx *durable.Tx) error {
		for i, key := range keys {
			var l Layer
			ok, err := get(tx, layerBucket, key.String(), &l)
			if err != nil {
				return err
			}
			if ok {
				layers[i] = &l
			}
		}
		return nil
	})
	return layers, err
}

// Output returns what is known of the file at an absolute path, or nil.
func (m *Memo) Output(ctx context.Context, path string) (*Output, error) {
	var o Output
	var ok bool
	err := m.view(ctx, func(tx *durable.Tx) (err error) {
		ok, err = get(tx, outputBucket, outputKey(path), &o)
		return err
	})
	if err != nil || !ok {
		return nil, err
	}
	return &o, nil
}

// SaveOutput remembers what was written to the file at an absolute path.
func (m *Memo) SaveOutput(ctx context.Context, path string, o Output) error {
	return m.update(ctx, func(tx *durable.Tx) error { return put(tx, outputBucket, outputKey(path), o) })
}

// outputKey keeps the keys of the database short.
func outputKey(path string) string { return digest.FromString(path).Encoded() }

func get(tx *durable.Tx, bucket, key string, v any) (bool, error) {
	b, err := tx.Get(bucket, []byte(key))
	if err != nil {
		return false, err
	}
	return b != nil, decode(b, bucket, key, v)
}

// decode reads a row into v, and of none nothing.
func decode(row []byte, bucket, key string, v any) error {
	if row == nil {
		return nil
	}
	if err := json.Unmarshal(row, v); err != nil {
		return fmt.Errorf("read %s %s of the cache: %w", bucket, key, err)
	}
	return nil
}

// each calls visit with every row of a bucket.
func each[T any](tx *durable.Tx, bucket string, visit func(key string, row *T)) error {
	return tx.Scan(bucket, nil, func(key, value []byte) error {
		row := new(T)
		if err := decode(value, bucket, string(key), row); err != nil {
			return err
		}
		visit(string(key), row)
		return nil
	})
}

func put(tx *durable.Tx, bucket, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Put(bucket, []byte(key), b)
}
