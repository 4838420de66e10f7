package layer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"terrine/builder/layer/codec"
	"terrine/store"
	"terrine/store/fault"
)

const testDigest = "00bgd045z0d4icpbc2yyz4gx48ak44la"

// testStore makes a store directory with an odd tree, a file, a symlink and a
// large object, and returns them as objects.
func testStore(t *testing.T) []store.Object {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, testDigest+"-tree")
	files := map[string]string{
		"a/b":                          "in a",
		"a-b/c":                        "sorts after a/b, before a.txt",
		"a.txt":                        "text",
		"a b\nc":                       "blank and newline",
		"\xff\xfe":                     "no UTF-8",
		strings.Repeat("n", 255):       "long name",
		strings.Repeat("d/", 50) + "f": "deep",
		strings.Repeat("dir"+strings.Repeat("x", 100)+"/", 4) + "f": "long path",
		"empty": "",
		"512":   strings.Repeat("x", 512),
		"513":   strings.Repeat("y", 513),
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		write(t, filepath.Join(tree, name), files[name], 0o644)
	}
	write(t, filepath.Join(tree, "bin/run"), "#!/bin/sh\n", 0o755)
	for _, err := range []error{
		os.MkdirAll(filepath.Join(tree, "empty-dir"), 0o700),
		os.Symlink("../"+strings.Repeat("t/", 150)+"target", filepath.Join(tree, "link")),
		os.Link(filepath.Join(tree, "a.txt"), filepath.Join(tree, "hardlink")),
		os.Symlink(testDigest+"-tree", filepath.Join(dir, testDigest+"-symlink")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, testDigest+"-file"), "a plain file", 0o444)
	large := filepath.Join(dir, testDigest+"-large")
	for i, n := range []int{partSize - 512, partSize, 3*partSize + 7, 5, partSize / 2, partSize/2 - 1000, 600} {
		write(t, filepath.Join(large, fmt.Sprint(i)), strings.Repeat(fmt.Sprint(i, "-"), n/2+1)[:n], 0o444)
	}
	var objects []store.Object
	for _, name := range []string{"file", "large", "symlink", "tree"} {
		p, err := store.DefaultDir.Join(testDigest + "-" + name)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, store.Object{Info: store.Info{Path: p}, Dir: dir})
	}
	return objects
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func testLayers(t *testing.T, objects []store.Object, workers int) []*Layer {
	t.Helper()
	policy := DefaultPolicy()
	scaffolds, err := Scan(t.Context(), objects, policy, workers)
	if err != nil {
		t.Fatal(err)
	}
	return []*Layer{New(policy, objects[:2], scaffolds[:2]), New(policy, objects[2:], scaffolds[2:])}
}

// buffer is a file in memory.
type buffer struct{ b []byte }

func (b *buffer) WriteAt(p []byte, off int64) (int, error) { return copy(b.b[off:], p), nil }

// pack returns the tars of layers, made by WriteAt.
func pack(t *testing.T, layers []*Layer, workers int) [][]byte {
	t.Helper()
	var offsets []int64
	total := int64(0)
	for _, l := range layers {
		offsets = append(offsets, total)
		total += l.Size
	}
	out := &buffer{b: make([]byte, total)}
	diffIDs, err := (&Packer{Workers: workers}).WriteAt(t.Context(), out, layers, offsets)
	if err != nil {
		t.Fatal(err)
	}
	tars := make([][]byte, len(layers))
	for i, l := range layers {
		tars[i] = out.b[offsets[i]:][:l.Size]
		if got := digest.FromBytes(tars[i]); got != diffIDs[i] {
			t.Errorf("layer %d: DiffID %s, the bytes have %s", i, diffIDs[i], got)
		}
	}
	return tars
}

func TestTarHoldsTheTree(t *testing.T) {
	objects := testStore(t)
	layers := testLayers(t, objects, 2)
	for i, raw := range pack(t, layers, 2) {
		r := tar.NewReader(bytes.NewReader(raw))
		var names []string
		content := int64(0)
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, h.Name)
			content += h.Size
			checkEntry(t, objects[0].Dir, h, r)
		}
		if want := wantNames(t, objects[2*i:2*i+2]); !slices.Equal(names, want) {
			t.Errorf("layer %d has entries\n%q\nwant\n%q", i, names, want)
		}
		if len(names) != layers[i].Entries || content != layers[i].Content {
			t.Errorf("layer %d: %d entries, %d bytes of content; it says %d, %d", i, len(names), content, layers[i].Entries, layers[i].Content)
		}
	}
}

func checkEntry(t *testing.T, dir string, h *tar.Header, r io.Reader) {
	t.Helper()
	if h.Uid != 0 || h.Gid != 0 || h.Uname != "root" || h.Gname != "root" || h.ModTime.Unix() != 1 {
		t.Errorf("%q: owner or time of %+v", h.Name, h)
	}
	rel, inStore := strings.CutPrefix(h.Name, "nix/store/")
	if !inStore || rel == "" {
		if h.Typeflag != tar.TypeDir || h.Mode != 0o755 {
			t.Errorf("%q: type %c, mode %o", h.Name, h.Typeflag, h.Mode)
		}
		return
	}
	path := filepath.Join(dir, rel)
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case st.IsDir():
		if h.Typeflag != tar.TypeDir || h.Mode != 0o555 {
			t.Errorf("%q: type %c, mode %o", h.Name, h.Typeflag, h.Mode)
		}
	case st.Mode()&os.ModeSymlink != 0:
		if target, err := os.Readlink(path); err != nil || h.Linkname != target || h.Typeflag != tar.TypeSymlink || h.Mode != 0o777 {
			t.Errorf("%q: %+v, want a link to %q (%v)", h.Name, h, target, err)
		}
	default:
		want := int64(0o444)
		if st.Mode()&0o100 != 0 {
			want = 0o555
		}
		text, err := os.ReadFile(path)
		got, err2 := io.ReadAll(r)
		if err != nil || err2 != nil || !bytes.Equal(text, got) || h.Mode != want || h.Typeflag != tar.TypeReg {
			t.Errorf("%q: content or mode %o differs", h.Name, h.Mode)
		}
	}
}

// wantNames lists objects with the standard library's walk, which sorts each
// directory.
func wantNames(t *testing.T, objects []store.Object) []string {
	t.Helper()
	names := []string{"nix/", "nix/store/"}
	for _, o := range objects {
		err := filepath.WalkDir(filepath.Join(o.Dir, o.Path.Base()), func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(o.Dir, path)
			name := "nix/store/" + rel
			if d.IsDir() {
				name += "/"
			}
			names = append(names, name)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func TestBytesDoNotDependOnWorkersOrWay(t *testing.T) {
	objects := testStore(t)
	want := pack(t, testLayers(t, objects, 1), 1)
	for _, workers := range []int{1, 2, 16} {
		layers := testLayers(t, objects, workers)
		p := &Packer{Workers: workers}
		if got := pack(t, layers, workers); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%d workers: other bytes", workers)
		}
		diffIDs, err := p.Hash(t.Context(), layers)
		if err != nil {
			t.Fatal(err)
		}
		var streamed [2]bytes.Buffer
		streamIDs, err := p.Stream(t.Context(), layers, codec.None(), func(i int) (io.Writer, error) { return &streamed[i], nil })
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if id := digest.FromBytes(want[i]); diffIDs[i] != id || streamIDs[i] != id {
				t.Errorf("%d workers, layer %d: Hash says %s, Stream %s, want %s", workers, i, diffIDs[i], streamIDs[i], id)
			}
			if !bytes.Equal(streamed[i].Bytes(), want[i]) {
				t.Errorf("%d workers, layer %d: Stream writes other bytes", workers, i)
			}
		}
	}
}

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

func TestRefuses(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"FIFO":      func(p string) error { return unix.Mkfifo(p, 0o644) },
		"socket":    func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) },
		"deletion":  func(p string) error { return os.WriteFile(filepath.Join(filepath.Dir(p), ".wh.odd"), nil, 0o644) },
		"than 3945": func(p string) error { return deep(p, 250, 17) },
		"nest":      func(p string) error { return deep(p, 1, 70) },
	} {
		objects := testStore(t)
		if err := make(filepath.Join(objects[3].Dir, objects[3].Path.Base(), "odd")); err != nil {
			t.Fatal(err)
		}
		_, err := Scan(t.Context(), objects, DefaultPolicy(), 2)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "odd") || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: Scan returns %v (class %d)", name, err, fault.CodeOf(err))
		}
	}
}

// deep makes a chain of directories, going down step by step since the path as
// a whole is too long for the kernel.
func deep(path string, width, depth int) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(path)
	for range depth {
		if err != nil {
			return err
		}
		name := strings.Repeat("l", width)
		if err := root.Mkdir(name, 0o755); err != nil {
			return err
		}
		root, err = root.OpenRoot(name)
	}
	return err
}

func TestChangeWhileReading(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grown":   func(p string) error { return os.WriteFile(p, []byte("longer than before"), 0o644) },
		"shrunk":  func(p string) error { return os.Truncate(p, 1) },
		"removed": os.Remove,
		"swapped": func(p string) error { return errors.Join(os.Remove(p), os.Symlink("a/b", p)) },
	} {
		objects := testStore(t)
		layers := testLayers(t, objects, 2)
		if err := change(filepath.Join(objects[3].Dir, objects[3].Path.Base(), "a.txt")); err != nil {
			t.Fatal(err)
		}
		_, err := (&Packer{Workers: 2}).Hash(t.Context(), layers)
		if err == nil || !strings.Contains(err.Error(), "a.txt") {
			t.Errorf("%s: Hash returns %v", name, err)
		}
	}
}

func TestCancel(t *testing.T) {
	objects := testStore(t)
	layers := testLayers(t, objects, 2)
	ctx, cancel := context.WithCancel(t.Context())
	p := &Packer{Workers: 2, Progress: func(int64) { cancel() }}
	if _, err := p.Hash(ctx, layers); !errors.Is(err, context.Canceled) {
		t.Errorf("Hash returns %v after cancellation", err)
	}
	if _, err := Scan(ctx, objects, DefaultPolicy(), 2); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan returns %v after cancellation", err)
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
