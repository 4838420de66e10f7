package layer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/builder/layer/codec"
	"terrine/store"
)

// smallStore makes a store of small paths alone: this repository, a path for each
// of its directories.
func smallStore(t *testing.T) (objects store.ObjectList, size int64) {
	t.Helper()
	dir := t.TempDir()
	trees := map[string]store.Path{}
	err := filepath.WalkDir("../..", func(name string, e os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".") && name != "../.."):
			return filepath.SkipDir
		case !e.Type().IsRegular() || filepath.Ext(name) != ".go" && filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parent := filepath.Dir(name)
		p, known := trees[parent]
		if !known {
			if p, err = store.DefaultDir.Join(fmt.Sprintf("%s%03d-directory", testDigest[:29], len(trees))); err != nil {
				return err
			}
			trees[parent] = p
			objects = append(objects, store.Object{Info: store.Info{Path: p}, Dir: dir})
		}
		write(t, filepath.Join(dir, p.Base(), filepath.Base(name)), string(text), 0o444)
		size += int64(len(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects, size
}

// count counts bytes.
type count int

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}

// TestSmallPathsCostNoSize: where all paths are small, that each is compressed by
// itself makes a layer at most 0.5 % larger than one stream of the same encoder is. It
// has to make good what they cannot lend one another.
func TestSmallPathsCostNoSize(t *testing.T) {
	objects, size := smallStore(t)
	if mean := size / int64(len(objects)); len(objects) < 30 || mean > 128<<10 {
		t.Fatalf("%d paths of %d bytes in the mean are not many small ones", len(objects), mean)
	}
	policy := defaultPolicy()
	scaffolds, err := Scan(t.Context(), objects, policy, 2)
	if err != nil {
		t.Fatal(err)
	}
	layers := []*Layer{New(policy, objects, scaffolds)}
	gzip, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	stream := func(c codec.Codec, w io.Writer) {
		t.Helper()
		if _, err := (&Packer{Workers: 2}).Stream(t.Context(), layers, c, func(int) (io.Writer, error) { return w, nil }); err != nil {
			t.Fatal(err)
		}
	}
	var members count
	var tar bytes.Buffer
	stream(gzip, &members)
	stream(codec.None(), &tar)
	one := oneStream(t, gzip, tar.Bytes())
	ratio := float64(members) / float64(one)
	t.Logf("%d paths, %d bytes of tar: %.4f of one stream", len(objects), tar.Len(), ratio)
	if ratio > 1.005 {
		t.Errorf("%d paths in %d bytes, in one stream %d: %.4f", len(objects), members, one, ratio)
	}
}

// oneStream returns the size of tar in members that are as large as they can be, for
// which the encoder has a window like that of a stream.
func oneStream(t *testing.T, c codec.Codec, tar []byte) (size int) {
	t.Helper()
	e := c.NewEncoders(1)
	for len(tar) > 0 {
		n := min(len(tar), partSize)
		member, err := e.Encode(t.Context(), nil, tar[:n])
		if err != nil {
			t.Fatal(err)
		}
		size += len(member)
		tar = tar[n:]
	}
	return size
}
