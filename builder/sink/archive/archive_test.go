package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
	"terrine/builder/layer/codec"
	"terrine/store"
	"terrine/store/fault"
)

// testLayers makes two layers of a made-up store in dir.
func testLayers(t *testing.T, dir string) []*layer.Layer {
	t.Helper()
	var objects store.ObjectList
	for i, size := range []int{10, 3 << 20} {
		p, err := store.DefaultDir.Join(fmt.Sprintf("00bgd045z0d4icpbc2yyz4gx48ak44l%d-object", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, p.Base()), bytes.Repeat([]byte{byte('a' + i)}, size), 0o444); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, store.Object{Info: store.Info{Path: p}, Dir: dir})
	}
	policy := layer.Policy{Owner: layer.Owner{Uname: "root", Gname: "root", Mtime: 1}}
	scaffolds, err := layer.Scan(t.Context(), objects, policy, 2)
	if err != nil {
		t.Fatal(err)
	}
	return []*layer.Layer{
		layer.New(policy, objects[:1], scaffolds[:1]),
		layer.New(policy, objects[1:], scaffolds[1:]),
	}
}

func testArchive(t *testing.T, c codec.Codec, workers int) *Archive {
	return &Archive{
		Layers: testLayers(t, t.TempDir()),
		Packer: &layer.Packer{Workers: workers},
		Codec:  c,
		Describe: func(blobs []Blob) ([]Member, error) {
			return []Member{{Name: "manifest.json", Data: fmt.Append(nil, blobs)}, {Name: "large", Data: make([]byte, 3<<20)}}, nil
		},
	}
}

func codecs(t *testing.T) map[string]codec.Codec {
	t.Helper()
	gz, err1 := codec.Gzip(codec.Default)
	zst, err2 := codec.Zstd(codec.Default)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return map[string]codec.Codec{"none": codec.None(), "gzip": gz, "zstd": zst}
}

// written writes an archive to a file and to a pipe, which must be the same.
func written(t *testing.T, a *Archive) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if _, err := a.WriteFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var pipe bytes.Buffer
	if err := a.WriteTo(t.Context(), &pipe); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, pipe.Bytes()) {
		t.Error("file and pipe differ")
	}
	return file
}

func TestFileAndPipeAndWorkersGiveTheSameBytes(t *testing.T) {
	for name, c := range codecs(t) {
		t.Run(name, func(t *testing.T) {
			var want []byte
			for _, workers := range []int{1, 2, 16} {
				a := testArchive(t, c, workers)
				got := written(t, a)
				if want == nil {
					want = got
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%d workers: other bytes than one", workers)
				}
			}
			checkMembers(t, decode(t, name, want))
		})
	}
}

// TestCompressedLayers holds file, pipe and workers to the same bytes, and each
// blob to what is said of it.
func TestCompressedLayers(t *testing.T) {
	for name, c := range codecs(t) {
		if name == "none" {
			continue
		}
		var want []byte
		for _, workers := range []int{1, 3} {
			a := testArchive(t, codec.None(), workers)
			a.LayerCodec = c
			var said []Blob
			describe := a.Describe
			a.Describe = func(blobs []Blob) ([]Member, error) { said = blobs; return describe(blobs) }
			got := written(t, a)
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s, %d workers: other bytes than one", name, workers)
			}
			plain, err := a.Packer.Hash(t.Context(), a.Layers)
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range said {
				if b.DiffID != plain[i] || b.Digest == b.DiffID || b.Size == 0 {
					t.Errorf("%s: layer %d is said to be %+v", name, i, b)
				}
			}
		}
		checkMembers(t, want)
	}
}

func TestOneMember(t *testing.T) {
	c := codecs(t)["gzip"]
	many, one := testArchive(t, c, 2), testArchive(t, c, 2)
	one.OneMember = true
	r, err := gzip.NewReader(bytes.NewReader(written(t, one)))
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, decode(t, "gzip", written(t, many))) {
		t.Errorf("the first member is not the whole archive (%v)", err)
	}
}

// decode decompresses by programs and libraries that are not ours.
func decode(t *testing.T, name string, b []byte) []byte {
	t.Helper()
	switch name {
	case "gzip":
		cmd := exec.Command("gzip", "-d")
		cmd.Stdin = bytes.NewReader(b)
		plain, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return plain
	case "zstd":
		r, err := zstd.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		plain, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return plain
	}
	return b
}

func checkMembers(t *testing.T, plain []byte) {
	t.Helper()
	var names []string
	r := tar.NewReader(bytes.NewReader(plain))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(h.Name, blobDir) && h.Name != blobDir {
			if blobName(digest.FromBytes(body)) != h.Name {
				t.Errorf("%s holds %s", h.Name, digest.FromBytes(body))
			}
			h.Name = "blob"
		}
		names = append(names, h.Name)
	}
	if want := []string{"blobs/", blobDir, "blob", "blob", "manifest.json", "large"}; !slices.Equal(names, want) {
		t.Errorf("members %q, want %q", names, want)
	}
}

// TestChangedContents: a file that has other bytes when it is written than when it was
// hashed, and the same size and time, is an error; what is compressed as a whole does
// not end then as if nothing were missing.
func TestChangedContents(t *testing.T) {
	gz := codecs(t)["gzip"]
	for name, a := range map[string]*Archive{
		"plain": {}, "gzip": {Codec: gz}, "one member": {Codec: gz, OneMember: true}, "layers": {LayerCodec: gz},
	} {
		dir := t.TempDir()
		a.Layers, a.Packer = testLayers(t, dir), &layer.Packer{Workers: 2}
		a.Describe = func([]Blob) ([]Member, error) {
			return nil, change(filepath.Join(dir, "00bgd045z0d4icpbc2yyz4gx48ak44l0-object"))
		}
		var out bytes.Buffer
		err := a.WriteTo(t.Context(), &out)
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "write layer 0: its contents changed while they were read") {
			t.Errorf("%s: %v", name, err)
		}
		if r, err := gzip.NewReader(&out); err == nil && a.OneMember {
			if n, err := io.Copy(io.Discard, r); err == nil {
				t.Errorf("%s: %d bytes that seem whole", name, n)
			}
		}
	}
}

// change gives a file other contents of the same size and time.
func change(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(name, 0o644), os.WriteFile(name, bytes.Repeat([]byte("z"), int(info.Size())), 0o644),
		os.Chtimes(name, info.ModTime(), info.ModTime()))
}

func TestFailureLeavesNothing(t *testing.T) {
	for name, c := range codecs(t) {
		dir := t.TempDir()
		path := filepath.Join(dir, "image")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		a := testArchive(t, c, 2)
		broken := errors.New("broken")
		a.Describe = func([]Blob) ([]Member, error) { return nil, broken }
		if _, err := a.WriteFile(t.Context(), path); !errors.Is(err, broken) {
			t.Errorf("%s: WriteFile returns %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.WriteFile(ctx, path); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: WriteFile returns %v after cancellation", name, err)
		}
		entries, err := os.ReadDir(dir)
		old, err2 := os.ReadFile(path)
		if err != nil || err2 != nil || len(entries) != 1 || string(old) != "old" {
			t.Errorf("%s: left %v, old file %q (%v, %v)", name, entries, old, err, err2)
		}
	}
}
