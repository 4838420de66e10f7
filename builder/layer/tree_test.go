package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/rootfs"
	"terrine/store"
)

// TestTreeHoldsTheEntries packs a tree of links, files, directories and owners,
// spread over several parts, and reads it back.
func TestTreeHoldsTheEntries(t *testing.T) {
	dir := t.TempDir()
	p, err := store.DefaultDir.Join(testDigest + "-content")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		write(t, filepath.Join(dir, p.Base(), fmt.Sprintf("share/doc-%d/file", i)), "x", 0o644)
	}
	source := filepath.Join(dir, "source")
	write(t, source, strings.Repeat("s", partSize+100), 0o644)
	uid, mode := 1000, uint32(0o4711)
	tree, err := rootfs.Build(t.Context(), rootfs.Options{
		Contents: []store.Object{{Info: store.Info{Path: p}, Dir: dir}},
		Tmp:      true,
		Files: []rootfs.FileSpec{
			{Path: "etc/text", Text: []byte("text"), Attributes: rootfs.Attributes{UID: &uid, Mode: &mode}},
			{Path: "etc/copy", Source: source},
			{Path: "etc/link", Link: "text"},
			{Path: "etc/owned", Link: "text", Attributes: rootfs.Attributes{UID: &uid}},
			{Path: "etc/grouped", Link: "text", Attributes: rootfs.Attributes{GID: &uid}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := tree.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for _, workers := range []int{1, 5} {
		l, err := NewTree(t.Context(), tree, 77)
		if err != nil {
			t.Fatal(err)
		}
		tars := pack(t, []*Layer{l}, workers)
		if want == nil {
			want = tars
		} else if !slices.EqualFunc(want, tars, bytes.Equal) {
			t.Errorf("%d workers give other bytes", workers)
		}
		content := int64(0)
		for _, e := range entries {
			content += e.Size
		}
		if l.Entries != len(entries) || l.Content != content {
			t.Errorf("the layer says it has %d entries of %d, %d bytes of %d", l.Entries, len(entries), l.Content, content)
		}
	}
	r := tar.NewReader(bytes.NewReader(want[0]))
	for _, e := range entries {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		checkTreeEntry(t, &e, h, r)
	}
	if h, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, %v after the last entry", h, err)
	}
}

// TestSourceThatHasChanged: a file of which the tree says another size is no entry of a
// layer, and one that changes later is not packed.
func TestSourceThatHasChanged(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	write(t, source, "source", 0o644)
	tree, err := rootfs.Build(t.Context(), rootfs.Options{Files: []rootfs.FileSpec{{Path: "etc/copy", Source: source}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewTree(t.Context(), tree, 77)
	if err != nil {
		t.Fatal(err)
	}
	write(t, source, "longer source", 0o644)
	_, later := (&Packer{}).Hash(t.Context(), []*Layer{l})
	_, err = NewTree(t.Context(), tree, 77)
	for _, err := range []error{err, later} {
		if !IsStale(err) || !strings.Contains(err.Error(), source) {
			t.Errorf("error %v", err)
		}
	}
}

func checkTreeEntry(t *testing.T, e *rootfs.Entry, h *tar.Header, r io.Reader) {
	t.Helper()
	name := e.Name
	if e.Kind == rootfs.Dir {
		name += "/"
	}
	if h.Name != name || h.Mode != int64(e.Mode) || h.Uid != e.UID || h.Gid != e.GID ||
		h.Uname != e.Uname || h.Gname != e.Gname || h.Linkname != e.Link || h.Size != e.Size || h.ModTime.Unix() != 77 {
		t.Errorf("entry %+v became %+v", e, h)
	}
	text := e.Text
	if e.Kind == rootfs.File && text == nil {
		var err error
		if text, err = os.ReadFile(e.Source); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(r); err != nil || digest.FromBytes(got) != digest.FromBytes(text) {
		t.Errorf("%s: other content (%v)", e.Name, err)
	}
}
