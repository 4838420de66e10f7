package layer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
)

// partsInMemory keeps parts, counts what is open, and fails where it is told to.
type partsInMemory struct {
	mu   sync.Mutex
	all  map[digest.Digest][][]byte
	sums map[digest.Digest]Sum
	fail string // the method that fails
	open int    // readers and writers
	most int    // that were open at once
}

var errKeep = errors.New("no room for parts")

func (p *partsInMemory) try(method string, opened int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if method == p.fail {
		return errKeep
	}
	p.open += opened
	return nil
}

func (p *partsInMemory) Encoded(key digest.Digest, _ string) EncodedParts {
	p.mu.Lock()
	defer p.mu.Unlock()
	parts, ok := p.all[key]
	if !ok {
		return nil
	}
	p.open++
	p.most = max(p.most, p.open)
	return &keptInMemory{of: p, parts: parts, sum: p.sums[key]}
}

func (p *partsInMemory) KeepEncoded(key digest.Digest, _ string) (PartsWriter, error) {
	return &keptInMemory{of: p, key: key}, p.try("KeepEncoded", 1)
}

type keptInMemory struct {
	of    *partsInMemory
	key   digest.Digest
	parts [][]byte
	sum   Sum
}

func (k *keptInMemory) Sum() Sum { return k.sum }
func (k *keptInMemory) Len() int { return len(k.parts) }
func (k *keptInMemory) Close()   { k.Abort() }

func (k *keptInMemory) Append(dst []byte, i int) ([]byte, bool) {
	return append(dst, k.parts[i]...), true
}

func (k *keptInMemory) Add(part []byte) error {
	k.parts = append(k.parts, bytes.Clone(part))
	return k.of.try("Add", 0)
}

func (k *keptInMemory) Commit(sum Sum) error {
	k.Abort()
	k.of.all[k.key], k.of.sums[k.key] = k.parts, sum
	return k.of.try("Commit", 0)
}

func (k *keptInMemory) Abort() {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	k.of.open--
}

func newPartsInMemory() *partsInMemory {
	return &partsInMemory{all: map[digest.Digest][][]byte{}, sums: map[digest.Digest]Sum{}}
}

// TestKeptPartsDoNotShow: with all parts kept, with some, with others than there should
// be, and where they cannot be kept, a stream has the same bytes; everything that was
// opened is closed.
func TestKeptPartsDoNotShow(t *testing.T) {
	objects := hashed(t, testStore(t))
	layers := testLayers(t, objects, 2)
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	stream := func(parts Parts) (out []byte, warnings int) {
		var b bytes.Buffer
		var done atomic.Int64
		p := &Packer{Workers: 3, Parts: parts, Warn: func(error) { warnings++ }, Progress: func(n int64) { done.Add(n) }}
		diffIDs, err := p.Stream(t.Context(), layers, gz, func(int) (io.Writer, error) { return &b, nil })
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range diffIDs { // known the next time, when kept parts are not compared
			layers[i].DiffID = id
			done.Add(-layers[i].Size)
		}
		if done.Load() != 0 {
			t.Errorf("progress is %d bytes off", done.Load())
		}
		return b.Bytes(), warnings
	}
	want, _ := stream(nil)
	whole := newPartsInMemory()
	if stream(whole); len(whole.all) != 4 {
		t.Fatalf("parts of %d segments are kept", len(whole.all))
	}
	for name, change := range map[string]func(*partsInMemory){
		"whole":    func(*partsInMemory) {},
		"none":     func(p *partsInMemory) { clear(p.all) },
		"one less": func(p *partsInMemory) { edit(p, func(parts [][]byte) [][]byte { return parts[1:] }) },
		"one more": func(p *partsInMemory) {
			edit(p, func(parts [][]byte) [][]byte { return slices.Insert(parts, 0, []byte("x")) })
		},
		"not begun":     func(p *partsInMemory) { clear(p.all); p.fail = "KeepEncoded" },
		"not added":     func(p *partsInMemory) { clear(p.all); p.fail = "Add" },
		"not committed": func(p *partsInMemory) { clear(p.all); p.fail = "Commit" },
	} {
		p := newPartsInMemory()
		for key, parts := range whole.all {
			p.all[key], p.sums[key] = slices.Clone(parts), whole.sums[key]
		}
		change(p)
		told := 0
		if p.fail != "" {
			told = 1
		}
		if got, warnings := stream(p); !bytes.Equal(got, want) || warnings != told || p.open != 0 {
			t.Errorf("%s: other bytes, or %d warnings (want %d), or %d left open", name, warnings, told, p.open)
		}
	}
	if _, err := (&Packer{Parts: whole}).Stream(t.Context(), layers, gz, discard); err != nil || whole.most != 1 {
		t.Errorf("one worker has %d segments open at once (%v)", whole.most, err)
	}
	if err := os.RemoveAll(objects[0].Dir); err != nil {
		t.Fatal(err)
	}
	if got, _ := stream(whole); !bytes.Equal(got, want) {
		t.Error("other bytes of files that are not read")
	}
}

func edit(p *partsInMemory, change func([][]byte) [][]byte) {
	for key, parts := range p.all {
		p.all[key] = change(parts)
	}
}

// fullAfter is a disk that takes some writes.
type fullAfter struct {
	writes int
	err    error
}

func (f *fullAfter) Write(b []byte) (int, error) {
	if f.writes--; f.writes < 0 {
		return 0, f.err
	}
	return len(b), nil
}

// TestErrorsCloseParts: a stream that cannot be written, from the beginning or in the
// middle of a segment, leaves neither readers nor writers of parts open.
func TestErrorsCloseParts(t *testing.T) {
	layers := testLayers(t, hashed(t, testStore(t)), 2)
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	whole := newPartsInMemory()
	if _, err := (&Packer{Parts: whole}).Stream(t.Context(), layers, gz, discard); err != nil {
		t.Fatal(err)
	}
	for _, parts := range []*partsInMemory{newPartsInMemory(), whole} {
		for _, writes := range []int{0, 4} {
			full := &fullAfter{writes, errors.New("no space")}
			p := &Packer{Workers: 3, Parts: parts}
			_, err := p.Stream(t.Context(), layers, gz, func(int) (io.Writer, error) { return full, nil })
			if !errors.Is(err, full.err) || parts.open != 0 {
				t.Errorf("after %d writes: Stream returns %v, and leaves %d open", writes, err, parts.open)
			}
		}
	}
}
