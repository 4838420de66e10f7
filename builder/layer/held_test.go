package layer

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
	"terrine/store"
)

// sums returns the sums that p tells of while do has it work.
func sums(t *testing.T, p *Packer, do func() error) map[digest.Digest]Sum {
	t.Helper()
	var mu sync.Mutex
	told := map[digest.Digest]Sum{}
	p.Held = func(key digest.Digest, sum Sum) bool {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := told[key]; ok {
			t.Errorf("told twice of %s", key)
		}
		told[key] = sum
		return true
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
	return told
}

// TestSums: the sum of a segment depends on what is read and on nothing else, and
// changes with any file.
func TestSums(t *testing.T) {
	objects := testStore(t)
	layers := testLayers(t, objects, 1)
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	first := map[digest.Digest]Sum{}
	for _, workers := range []int{1, 3, 16} {
		p := &Packer{Workers: workers}
		ways := map[string]func() error{
			"hash": func() error {
				_, err := p.Hash(t.Context(), layers)
				return err
			},
			"stream": func() error {
				_, err := p.Stream(t.Context(), layers, codec.None(), discard)
				return err
			},
			"compress": func() error {
				_, err := p.Stream(t.Context(), layers, gz, discard)
				return err
			},
		}
		for way, do := range ways {
			told := sums(t, p, do)
			if len(first) == 0 {
				first = told
			}
			if len(told) != len(objects) || !maps.Equal(told, first) {
				t.Errorf("%s, %d workers: %v, want %v", way, workers, told, first)
			}
		}
	}
	all, ok := layers[0].Sum(func(key digest.Digest) (Sum, bool) { return first[key], true })
	if want := Sum(0).And(first[SegmentKey(defaultPolicy(), objects[0])]).And(first[SegmentKey(defaultPolicy(), objects[1])]); !ok || all != want {
		t.Errorf("sum of a layer %x, %v, want %x", all, ok, want)
	}
	if _, ok := layers[0].Sum(func(digest.Digest) (Sum, bool) { return 0, false }); ok {
		t.Error("the sum of a layer is known of which nothing is")
	}
	large := filepath.Join(objects[1].Dir, objects[1].Path.Base(), "2")
	change(t, large, 3*partSize)
	p := &Packer{Workers: 2}
	told := sums(t, p, func() error {
		_, err := p.Hash(t.Context(), layers)
		return err
	})
	for i, o := range objects {
		key := SegmentKey(defaultPolicy(), o)
		if (told[key] == first[key]) != (i != 1) {
			t.Errorf("%s: sum %x, before %x", o.Path, told[key], first[key])
		}
	}
}

func discard(int) (io.Writer, error) { return io.Discard, nil }

// change changes a byte of a file and leaves its time.
func change(t *testing.T, path string, at int) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, b, 0o644), os.Chtimes(path, time.Time{}, info.ModTime())); err != nil {
		t.Fatal(err)
	}
}

// TestSegmentsThatAreNotHeld: a segment that may not have its sum fails, by its name.
func TestSegmentsThatAreNotHeld(t *testing.T) {
	objects := testStore(t)
	layers := testLayers(t, objects, 1)
	wrong := SegmentKey(defaultPolicy(), objects[2])
	p := &Packer{Workers: 2, Held: func(key digest.Digest, _ Sum) bool { return key != wrong }}
	_, err := p.Hash(t.Context(), layers)
	if kept, ok := errors.AsType[*KeptError](err); !ok || kept.Key != wrong || kept.Path != objects[2].Path {
		t.Errorf("Hash returns %v", err)
	}
	_, err = p.Stream(t.Context(), layers, codec.None(), discard)
	if kept, ok := errors.AsType[*KeptError](err); !ok || kept.Key != wrong {
		t.Errorf("Stream returns %v", err)
	}
}

// TestLinksAreCompared: a file that a scaffold has as a link has become another, in its
// first bytes or its last, or is gone. Neither the size nor the time of the file that
// it is a link to shows it.
func TestLinksAreCompared(t *testing.T) {
	const size = 2*dedupBuffer + 10
	for what, do := range map[string]func(t *testing.T, link string){
		"first byte": func(t *testing.T, link string) { change(t, link, 0) },
		"last byte":  func(t *testing.T, link string) { change(t, link, size-1) },
		"size": func(t *testing.T, link string) {
			if err := errors.Join(os.Chmod(link, 0o644), os.Truncate(link, size-1)); err != nil {
				t.Fatal(err)
			}
		},
		"mode": func(t *testing.T, link string) {
			if err := os.Chmod(link, 0o755); err != nil {
				t.Fatal(err)
			}
		},
		"gone": func(t *testing.T, link string) {
			if err := os.Remove(link); err != nil {
				t.Fatal(err)
			}
		},
		"symlink": func(t *testing.T, link string) {
			if err := errors.Join(os.Remove(link), os.Symlink("../a/first", link)); err != nil {
				t.Fatal(err)
			}
		},
		"directory": func(t *testing.T, link string) {
			if err := errors.Join(os.RemoveAll(filepath.Dir(link)), os.WriteFile(filepath.Dir(link), nil, 0o644)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		dir := t.TempDir()
		p, err := store.DefaultDir.Join(testDigest + "-twins")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a/first", "b/second"} {
			write(t, filepath.Join(dir, p.Base(), name), strings.Repeat("x", size), 0o444)
		}
		o := store.Object{Info: store.Info{Path: p}, Dir: dir}
		l, _ := dedupLayer(t, o, 2)
		do(t, filepath.Join(dir, p.Base(), "b/second"))
		l.DiffID = testDiffID // nothing is hashed
		_, err = (&Packer{}).WriteAt(t.Context(), &buffer{b: make([]byte, l.Size)}, []*Layer{l}, []int64{0})
		if kept, ok := errors.AsType[*KeptError](err); !ok || kept.Path != p {
			t.Errorf("%s: WriteAt returns %v", what, err)
		}
	}
}

const testDiffID = digest.Digest("sha256:0000000000000000000000000000000000000000000000000000000000000000")
