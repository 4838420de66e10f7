package memo

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/store/fault"
)

// A file of the memo is a run of chunks, each with a checksum:
//
//	chunk …
//	for each chunk: length u32, CRC-32C of the chunk u32
//	number of chunks u32, sum u32, CRC-32C of the name, the table and the sum u32, magic
//
// in little-endian order. A scaffold is one chunk; encoded parts are a chunk
// each, so that damage costs a part, and is found before it is passed on. CRC-32C
// finds what disks and crashes do; against a forger the directory is closed to
// other users. The sum is that of the segment as it was read when the file was made,
// and 0 in what is of no segment.
const (
	magic     = "terrine3"
	trailer   = 4 + 4 + 4 + len(magic)
	tableRow  = 8
	maxChunks = 1 << 22
	blobDir   = "blobs"
	touchAge  = time.Hour
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// oldMagics are of files whose checksum did not cover their names, and of those that
// had no sum.
const oldMagics = "terrine1 terrine2"

// errDamaged says that a file fails its checksum.
var errDamaged = errors.New("checksum does not match")

// errVersion says that a file has an older format. It is as good as absent, and will
// be written over.
var errVersion = errors.New("it is of an older version of terrine")

// path returns the place of what is kept under key in the form that kind names.
func (m *Memo) path(kind string, key digest.Digest) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + key.String()))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(m.dir, blobDir, name[:2], name[2:])
}

// A chunked is an open file of the memo.
type chunked struct {
	f     *os.File
	ends  []int64  // of each chunk
	sums  []uint32 // of each chunk
	total int64    // bytes of chunks
	sum   layer.Sum
}

// openChunked opens a file and reads its table. A file that cannot be one of
// the memo's is errDamaged.
func openChunked(path string) (_ *chunked, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would keep us waiting
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var tail [trailer]byte
	if !info.Mode().IsRegular() || info.Size() < int64(trailer) {
		return nil, errDamaged
	}
	if _, err := f.ReadAt(tail[:], info.Size()-int64(trailer)); err != nil {
		return nil, err
	}
	if slices.Contains(strings.Fields(oldMagics), string(tail[12:])) {
		return nil, errVersion
	}
	n := int64(binary.LittleEndian.Uint32(tail[0:]))
	start := info.Size() - int64(trailer) - n*tableRow
	if string(tail[12:]) != magic || n > maxChunks || start < 0 {
		return nil, errDamaged
	}
	table := make([]byte, n*tableRow)
	if _, err := f.ReadAt(table, start); err != nil {
		return nil, err
	}
	if tableSum(path, table, tail[4:8]) != binary.LittleEndian.Uint32(tail[8:]) {
		return nil, errDamaged
	}
	c := &chunked{f: f, sum: layer.Sum(binary.LittleEndian.Uint32(tail[4:])), ends: make([]int64, n), sums: make([]uint32, n)}
	for i := range c.ends {
		c.total += int64(binary.LittleEndian.Uint32(table[i*tableRow:]))
		c.ends[i] = c.total
		c.sums[i] = binary.LittleEndian.Uint32(table[i*tableRow+4:])
	}
	if c.total != start {
		return nil, errDamaged
	}
	return c, nil
}

// tableSum is the checksum of the table of the file at path, and of the sum behind
// it. It covers the file's name, which says what is in it: one that has taken the place of another is damage.
func tableSum(path string, table, sum []byte) uint32 {
	name := filepath.Base(filepath.Dir(path)) + filepath.Base(path)
	return crc32.Update(crc32.Update(crc32.Checksum([]byte(name), castagnoli), castagnoli, table), castagnoli, sum)
}

// append appends chunk i to dst, having checked it.
func (c *chunked) append(dst []byte, i int) ([]byte, error) {
	if i >= len(c.ends) {
		return dst, errDamaged
	}
	from := int64(0)
	if i > 0 {
		from = c.ends[i-1]
	}
	start, n := len(dst), int(c.ends[i]-from)
	if cap(dst)-start < n {
		dst = append(make([]byte, 0, start+n), dst...)
	}
	dst = dst[:start+n]
	if _, err := c.f.ReadAt(dst[start:], from); err != nil {
		if errors.Is(err, io.EOF) {
			err = errDamaged
		}
		return dst[:start], err
	}
	if crc32.Checksum(dst[start:], castagnoli) != c.sums[i] {
		return dst[:start], errDamaged
	}
	return dst, nil
}

func (c *chunked) close() { c.f.Close() }

// A chunkWriter writes a file of the memo.
type chunkWriter struct {
	f     *os.File
	path  string
	table []byte
	total int64 // bytes of chunks
	size  int64 // bytes of the file that is published
}

func newChunkWriter(path string) (*chunkWriter, error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		f, err = os.CreateTemp(dir, tempPrefix+"*")
	}
	if e, ok := err.(*fs.PathError); ok {
		e.Path = path // and not the name of the temporary file
	}
	if err != nil {
		return nil, err
	}
	return &chunkWriter{f: f, path: path}, nil
}

// tempPrefix is how the names of files begin that are not yet published.
const tempPrefix = ".tmp-"

func (w *chunkWriter) add(chunk []byte) error {
	w.table = binary.LittleEndian.AppendUint32(w.table, uint32(len(chunk)))
	w.table = binary.LittleEndian.AppendUint32(w.table, crc32.Checksum(chunk, castagnoli))
	n, err := w.f.Write(chunk)
	w.total += int64(n)
	return w.named(err)
}

// named gives an error the name that the file will have.
func (w *chunkWriter) named(err error) error {
	return fault.Rename(err, filepath.Base(w.f.Name()), filepath.Base(w.path))
}

// commit publishes the file, of a segment with the given sum.
func (w *chunkWriter) commit(sum layer.Sum) error {
	end := append([]byte(nil), w.table...)
	end = binary.LittleEndian.AppendUint32(end, uint32(len(w.table)/tableRow))
	end = binary.LittleEndian.AppendUint32(end, uint32(sum))
	end = binary.LittleEndian.AppendUint32(end, tableSum(w.path, w.table, end[len(end)-4:]))
	end = append(end, magic...)
	_, err := w.f.Write(end)
	if err2 := w.f.Close(); err == nil {
		err = err2
	}
	w.size = w.total + int64(len(end))
	if err == nil {
		err = os.Rename(w.f.Name(), w.path)
	}
	if err != nil {
		os.Remove(w.f.Name())
	}
	return w.named(err)
}

func (w *chunkWriter) abort() {
	w.f.Close()
	os.Remove(w.f.Name())
}

// readChunk returns what decode makes of a file of one chunk, and the sum in the file,
// or nothing if that cannot be had: damage and what decode refuses are dropped.
func readChunk[T any](m *Memo, path, what string, decode func([]byte) (T, error)) (v T, sum layer.Sum) {
	c, ok := m.open(path, what)
	if !ok {
		return v, 0
	}
	defer c.close()
	b, err := c.append(nil, 0)
	if err == nil {
		v, err = decode(b)
	}
	if err != nil {
		m.drop(path, what, err)
	}
	return v, c.sum
}

// writeChunk publishes a file of one chunk, of a segment with the given sum, and
// returns the length of the file.
func writeChunk(path string, chunk []byte, sum layer.Sum) (size int64, err error) {
	w, err := newChunkWriter(path)
	if err != nil {
		return 0, err
	}
	if err := w.add(chunk); err != nil {
		w.abort()
		return 0, err
	}
	err = w.commit(sum)
	return w.size, err
}

// touch marks a file as used, so that it is evicted late.
func (m *Memo) touch(path string, info os.FileInfo) {
	if now := m.Now(); now.Sub(info.ModTime()) > touchAge {
		_ = os.Chtimes(path, now, now) // it is only evicted sooner
	}
}

// drop removes a damaged file, or what is in the place of one, and says so.
func (m *Memo) drop(path, what string, err error) {
	_ = os.RemoveAll(path)
	m.warn("dropped from the cache: %s (%s): %v; it is made again", what, path, err)
}
