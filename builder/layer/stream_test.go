package layer

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
)

// placedBytes is a Placer in memory.
type placedBytes struct {
	mu  sync.Mutex
	all []byte
}

func (p *placedBytes) Place(n int) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, make([]byte, n)...)
	return int64(len(p.all) - n)
}

func (p *placedBytes) WriteAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return copy(p.all[off:], b), nil
}

func TestStreamAtGivesTheBytesOfStream(t *testing.T) {
	objects := testStore(t)
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []codec.Codec{codec.None(), gz} {
		for _, workers := range []int{1, 2, 16} {
			p := &Packer{Workers: workers}
			var ordered bytes.Buffer
			want, err := p.Stream(t.Context(), testLayers(t, objects, workers), c, func(i int) (io.Writer, error) {
				fmt.Fprintf(&ordered, "layer %d", i)
				return &ordered, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var placed placedBytes
			got, err := p.StreamAt(t.Context(), testLayers(t, objects, workers), c, &placed, func(i int) error {
				title := fmt.Append(nil, "layer ", i)
				_, err := placed.WriteAt(title, placed.Place(len(title)))
				return err
			})
			if err != nil || !slices.Equal(got, want) || !bytes.Equal(placed.all, ordered.Bytes()) {
				t.Errorf("%s, %d workers: other bytes or DiffIDs than Stream (%v)", c.ID(), workers, err)
			}
		}
	}
}

func TestStreamAtReturnsErrorsOfWriting(t *testing.T) {
	full := errors.New("disk full")
	_, err := (&Packer{Workers: 3}).StreamAt(t.Context(), testLayers(t, testStore(t), 1), codec.None(), failingAt{full}, func(int) error { return nil })
	if !errors.Is(err, full) {
		t.Errorf("error %v, want %v", err, full)
	}
}

type failingAt struct{ err error }

func (f failingAt) Place(int) int64                    { return 0 }
func (f failingAt) WriteAt([]byte, int64) (int, error) { return 0, f.err }

func TestStreamCompresses(t *testing.T) {
	objects := testStore(t)
	want := pack(t, testLayers(t, objects, 1), 1)
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	var first [2][]byte
	for _, workers := range []int{1, 3} {
		var out [2]bytes.Buffer
		p := &Packer{Workers: workers}
		diffIDs, err := p.Stream(t.Context(), testLayers(t, objects, workers), gz, func(i int) (io.Writer, error) { return &out[i], nil })
		if err != nil {
			t.Fatal(err)
		}
		for i := range out {
			b := out[i].Bytes()
			r, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(plain, want[i]) || diffIDs[i] != digest.FromBytes(want[i]) {
				t.Errorf("layer %d: does not decompress to the tar (%v)", i, err)
			}
			if first[i] == nil {
				first[i] = b
			} else if !bytes.Equal(first[i], b) {
				t.Errorf("layer %d: %d workers give other bytes", i, workers)
			}
		}
	}
}

// TestCodecsOfOnePacker: what one codec encodes does not depend on others before it.
func TestCodecsOfOnePacker(t *testing.T) {
	layers := testLayers(t, testStore(t), 2)
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	zstd, err := codec.Zstd(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	stream := func(p *Packer, c codec.Codec) []byte {
		var out bytes.Buffer
		if _, err := p.Stream(t.Context(), layers, c, func(int) (io.Writer, error) { return &out, nil }); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	one := &Packer{Workers: 2}
	for _, c := range []codec.Codec{gz, zstd, gz} {
		if !bytes.Equal(stream(one, c), stream(&Packer{Workers: 2}, c)) {
			t.Errorf("%s: other bytes by a packer that has used another codec", c.ID())
		}
	}
}

func TestWriteErrorIsReturned(t *testing.T) {
	layers := testLayers(t, testStore(t), 2)
	full := errors.New("no space")
	p := &Packer{Workers: 4}
	_, err := p.Stream(t.Context(), layers, codec.None(), func(int) (io.Writer, error) { return failing{full}, nil })
	if !errors.Is(err, full) {
		t.Errorf("Stream returns %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
