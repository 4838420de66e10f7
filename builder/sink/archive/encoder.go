package archive

import (
	"context"
	"io"

	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/store/durable"
)

// A placedFile is a file that is written from several goroutines, each to the
// place that it was given. Place, Write and trim are for one goroutine at a time.
type placedFile struct {
	*durable.File
	end      int64
	reserved int64
}

// reserveStep is how many bytes are reserved at a time: to write to what has its
// place on the disk already takes half the time.
const reserveStep = 64 << 20

// Place keeps room for n bytes behind all others. It implements layer.Placer.
func (f *placedFile) Place(n int) int64 {
	at := f.end
	f.end += int64(n)
	if f.end > f.reserved {
		f.reserved = f.end + reserveStep
		// What there is no room for shows when it is written: it may be less.
		_ = f.Reserve(f.reserved)
	}
	return at
}

// trim gives back what was reserved and not needed. Everything has been written.
func (f *placedFile) trim() error { return f.Truncate(f.end) }

// Write writes p behind everything that has a place.
func (f *placedFile) Write(p []byte) (int, error) { return f.WriteAt(p, f.Place(len(p))) }

// An encoder writes a stream of members that are encoded one by one.
type encoder struct {
	io.Writer // for what is encoded already
	codec     codec.Codec
	packer    *layer.Packer
}

// stored writes p so that the length written depends on p's length alone.
func (e *encoder) stored(p []byte) error {
	_, err := e.Write(e.codec.Stored(nil, p))
	return err
}

// finish writes the documents and the end of the archive.
func (e *encoder) finish(ctx context.Context, documents []Member) error {
	tail := appendTail(nil, documents)
	for len(tail) > 0 {
		n := min(len(tail), codec.MaxPart)
		coded, err := e.packer.Encode(ctx, e.codec, nil, tail[:n])
		if err != nil {
			return err
		}
		if _, err := e.Write(coded); err != nil {
			return err
		}
		tail = tail[n:]
	}
	return nil
}
