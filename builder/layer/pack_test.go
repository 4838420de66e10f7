package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
	"terrine/store"
)

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
func wantNames(t *testing.T, objects store.ObjectList) []string {
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

// TestChangeWhileReading: a file that is not what it was, or not there, is stale in all
// ways of packing; of one that is trusted it shows that there is too little to read.
func TestChangeWhileReading(t *testing.T) {
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file    string
		change  func(path string) error
		trusted bool // it does not show where files are trusted
	}{
		"grown":             {"a.txt", func(p string) error { return os.WriteFile(p, []byte("longer than before"), 0o644) }, true},
		"shrunk":            {"a.txt", func(p string) error { return os.Truncate(p, 1) }, false},
		"removed":           {"a.txt", os.Remove, false},
		"swapped":           {"a.txt", func(p string) error { return errors.Join(os.Remove(p), os.Symlink("a/b", p)) }, false},
		"directory removed": {"bin/run", func(p string) error { return os.RemoveAll(filepath.Dir(p)) }, false},
		"directory swapped": {"bin/run", func(p string) error {
			return errors.Join(os.RemoveAll(filepath.Dir(p)), os.WriteFile(filepath.Dir(p), nil, 0o644))
		}, false},
	} {
		objects := testStore(t)
		layers := testLayers(t, objects, 2)
		if err := test.change(filepath.Join(objects[3].Dir, objects[3].Path.Base(), test.file)); err != nil {
			t.Fatal(err)
		}
		check := func(way string, err error) {
			t.Helper()
			if !IsStale(err) || !strings.Contains(err.Error(), test.file) {
				t.Errorf("%s: %s returns %v", name, way, err)
			}
		}
		_, err := (&Packer{Workers: 2}).Hash(t.Context(), layers)
		check("Hash", err)
		for _, c := range []codec.Codec{codec.None(), gz} {
			_, err := (&Packer{Workers: 2}).Stream(t.Context(), layers, c, discard)
			check("Stream by "+c.ID(), err)
		}
		if _, err = (&Packer{Workers: 2, Trust: true}).Hash(t.Context(), layers); test.trusted {
			if err != nil {
				t.Errorf("%s: Hash of what is trusted returns %v", name, err)
			}
			continue
		}
		check("Hash of what is trusted", err)
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
	if _, err := Scan(ctx, objects, defaultPolicy(), 2); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan returns %v after cancellation", err)
	}
}
