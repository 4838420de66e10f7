package binarycache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/opencontainers/go-digest"

	"terrine/store"
	"terrine/store/compression"
	"terrine/store/durable"
	"terrine/store/fault"
)

// WriteOptions say how a cache is written. The zero value writes one for
// /nix/store, compressed by zstd, which Nix reads since 2.4, and not signed.
type WriteOptions struct {
	StoreDir    store.Dir
	Compression compression.Format // None, XZ or Zstd; "" is Zstd
	Key         *SecretKey         // signs; nil for none
	Workers     int                // how many NARs are compressed at once; 0 is one for each processor
	Progress    Progress           // of the bytes of NARs; may be nil
	Durable     durable.Options
}

// dumper writes the NAR of a path.
type dumper func(ctx context.Context, to io.Writer, p store.Path) error

// Writer writes a cache in a directory.
type Writer struct {
	dir string
	o   WriteOptions
}

// Create makes dir, if need be, a cache, and returns its writer. A cache for
// another store directory is of class fault.Refused. What writers that were
// killed have left half written is removed.
func Create(ctx context.Context, dir string, o WriteOptions) (*Writer, error) {
	if o.StoreDir == "" {
		o.StoreDir = store.DefaultDir
	}
	if o.Compression == "" {
		o.Compression = compression.Zstd
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Progress == nil {
		o.Progress = silent{}
	}
	w := &Writer{dir, o}
	if err := w.prepare(ctx); err != nil {
		return nil, fmt.Errorf("write cache %s: %w", dir, err)
	}
	return w, nil
}

func (w *Writer) prepare(ctx context.Context) error {
	probe, err := compression.NewWriter(w.o.Compression, io.Discard)
	if err != nil {
		return err
	}
	if err := errors.Join(probe.Close(), os.MkdirAll(filepath.Join(w.dir, "nar"), 0o755)); err != nil {
		return err
	}
	if err := w.sweep(); err != nil {
		return err
	}
	name := filepath.Join(w.dir, cacheInfo)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return durable.WriteFile(ctx, name, formatCacheInfo(w.o.StoreDir), 0o644, w.o.Durable)
	}
	if err != nil {
		return err
	}
	return checkCacheInfo(w.o.StoreDir, text)
}

// A Source is a store that paths are copied out of.
type Source interface {
	// Hold returns the closure of valid paths, and keeps it from being collected;
	// its error is store.ErrNotFound for others.
	Hold(ctx context.Context, roots ...store.Path) ([]*store.Info, error)
	// Dump writes the NAR of a path that is held. It is called from several
	// goroutines at once.
	Dump(ctx context.Context, to io.Writer, p store.Path) error
}

// Store copies paths of a store and all that they refer to into the cache, and returns
// those that it did not have, or not with a signature by the key. An object that does
// not have the hash that the store has of it is of class fault.StoreDamaged.
func (w *Writer) Store(ctx context.Context, from Source, roots ...store.Path) ([]*store.Info, error) {
	infos, err := from.Hold(ctx, roots...)
	if err != nil {
		return nil, err
	}
	return w.addAll(ctx, infos, from.Dump)
}

// addAll is Store for a closure that is held. dump is called from several goroutines.
func (w *Writer) addAll(ctx context.Context, infos []*store.Info, dump dumper) ([]*store.Info, error) {
	total := int64(0)
	for _, info := range infos {
		total += info.NARSize
	}
	w.o.Progress.Stage("copy", total)
	written := make([]bool, len(infos))
	err := inOrder(ctx, infos, w.o.Workers, func(ctx context.Context, i int) (err error) {
		written[i], err = w.add(ctx, infos[i], dump)
		w.o.Progress.Add(infos[i].NARSize)
		if err != nil {
			err = fmt.Errorf("write %s to cache %s: %w", infos[i].Path, w.dir, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var list []*store.Info
	for i, info := range infos {
		if written[i] {
			list = append(list, info)
		}
	}
	return list, nil
}

// add writes one path, unless it is there.
func (w *Writer) add(ctx context.Context, info *store.Info, dump dumper) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, context.Cause(ctx)
	}
	n, whole, err := w.present(info)
	if err != nil {
		return false, err
	}
	var signed []string // in the cache: good for a new NAR too
	if n != nil {
		signed = n.Signatures
	}
	if !whole {
		n = &Narinfo{Info: *info, Compression: w.o.Compression}
		if err := w.writeNAR(ctx, n, dump); err != nil {
			return false, err
		}
	}
	n.Signatures = w.signatures(signed, info)
	if whole && len(n.Signatures) == len(signed) {
		return false, nil
	}
	name := filepath.Join(w.dir, info.Path.Digest()+".narinfo")
	return true, durable.WriteFile(ctx, name, n.format(), 0o644, w.o.Durable)
}

// signatures returns those of the cache, of the store, and by the key.
func (w *Writer) signatures(signed []string, info *store.Info) []string {
	all := slices.Concat(signed, info.Signatures)
	if w.o.Key != nil {
		all = append(all, w.o.Key.sign(info))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// present returns what the cache says of a path, or nil if that is nothing, or
// something else; and whether it has the NAR.
func (w *Writer) present(info *store.Info) (n *Narinfo, whole bool, err error) {
	name := filepath.Join(w.dir, info.Path.Digest()+".narinfo")
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxInfo+1))
	if err != nil {
		return nil, false, err
	}
	n, err = parseNarinfo(w.o.StoreDir, text)
	if err != nil || n.Path != info.Path || !slices.Equal(n.References, info.References) {
		return nil, false, nil // damaged, or of something else
	}
	if n.NARHash != info.NARHash {
		return nil, false, fault.New(fault.Integrity, fmt.Errorf("the cache has it with the NAR hash %s, the store with %s",
			store.FormatHash(n.NARHash), store.FormatHash(info.NARHash)))
	}
	if n.NARSize != info.NARSize {
		return nil, false, nil // no signature is for that
	}
	if !filepath.IsLocal(n.URL) {
		return n, false, nil
	}
	at, err := os.Stat(filepath.Join(w.dir, n.URL))
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	return n, err == nil && at.Size() == n.FileSize, err
}

// writeNAR writes the file of a NAR and says in n where it is.
func (w *Writer) writeNAR(ctx context.Context, n *Narinfo, dump dumper) error {
	// Its name is its hash, so it is not the one that it is created for.
	dir := filepath.Join(w.dir, "nar")
	name := filepath.Join(dir, newNAR)
	f, err := durable.Create(name, 0o644, w.o.Durable)
	if err != nil {
		return fault.Rename(err, name, dir)
	}
	defer f.Discard()
	stored := &meter{w: f, hash: sha256.New()}
	if err := w.compress(ctx, stored, n, dump); err != nil {
		return fault.Rename(err, name, dir)
	}
	n.FileHash, n.FileSize = stored.digest(), stored.n
	n.URL = "nar/" + store.EncodeBase32(stored.hash.Sum(nil)) + ".nar" + n.Compression.Extension()
	return f.CommitAs(filepath.Base(n.URL))
}

// compress writes the compressed NAR, which must be the one of n.
func (w *Writer) compress(ctx context.Context, to io.Writer, n *Narinfo, dump dumper) error {
	z, err := compression.NewWriter(n.Compression, to)
	if err != nil {
		return err
	}
	plain := &meter{w: z, hash: sha256.New()}
	if err := dump(ctx, plain, n.Path); err != nil {
		return err
	}
	if got := plain.digest(); got != n.NARHash || plain.n != n.NARSize {
		err := fmt.Errorf("its NAR has the hash %s and %d bytes, and should have %s and %d",
			store.FormatHash(got), plain.n, store.FormatHash(n.NARHash), n.NARSize)
		return fault.New(fault.StoreDamaged, fault.Hint(err, "run: terrine store verify"))
	}
	return z.Close()
}

// meter hashes and counts what is written through it.
type meter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.hash.Write(p[:n])
	m.n += int64(n)
	return n, err
}

func (m *meter) digest() digest.Digest { return digest.NewDigest(digest.SHA256, m.hash) }
