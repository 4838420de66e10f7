package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"terrine/store"
)

// dedupLayer makes the layer of one object with content-dedup.
func dedupLayer(t *testing.T, o store.Object, workers int) (*Layer, []byte) {
	t.Helper()
	policy := Policy{Owner: DefaultOwner(), ContentDedup: true}
	scaffolds, err := Scan(t.Context(), []store.Object{o}, policy, workers)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeScaffold(scaffolds[0].Encode(), o, policy)
	if err != nil || again.Size != scaffolds[0].Size {
		t.Fatalf("the scaffold does not survive encoding: %v", err)
	}
	l := New(policy, []store.Object{o}, []*Scaffold{again})
	return l, pack(t, []*Layer{l}, workers)[0]
}

func TestContentDedup(t *testing.T) {
	dir := t.TempDir()
	p, err := store.DefaultDir.Join(testDigest + "-twins")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, p.Base())
	text := strings.Repeat("same ", 300)
	write(t, filepath.Join(root, "b/first"), text, 0o644)
	write(t, filepath.Join(root, "c/second"), text, 0o600)
	write(t, filepath.Join(root, "c/run"), text, 0o755)
	write(t, filepath.Join(root, "c/run-too"), text, 0o755)
	write(t, filepath.Join(root, "d/other"), strings.Repeat("else ", 300), 0o644)
	write(t, filepath.Join(root, "e/empty"), "", 0o644)
	write(t, filepath.Join(root, "e/void"), "", 0o644)
	if err := os.Link(filepath.Join(root, "d/other"), filepath.Join(root, "d/z")); err != nil {
		t.Fatal(err)
	}
	o := hashed(t, []store.Object{{Info: store.Info{Path: p}, Dir: dir}})[0]
	l, raw := dedupLayer(t, o, 3)

	base := "nix/store/" + p.Base() + "/"
	var links []string
	content := map[string]string{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content[h.Name] = string(b)
		if h.Typeflag == tar.TypeLink {
			links = append(links, strings.TrimPrefix(h.Name, base)+" "+strings.TrimPrefix(h.Linkname, base))
			if _, ok := content[h.Linkname]; !ok {
				t.Errorf("%s is a link to what comes later", h.Name)
			}
		}
	}
	if want := []string{"c/run-too c/run", "c/second b/first", "d/z d/other"}; !slices.Equal(links, want) {
		t.Errorf("links %q, want %q", links, want)
	}

	// What the file system links does not show.
	if err := os.Remove(filepath.Join(root, "d/z")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "d/z"), strings.Repeat("else ", 300), 0o644)
	if _, again := dedupLayer(t, o, 1); !bytes.Equal(again, raw) {
		t.Error("a hardlink on disk changes the bytes")
	}
	if _, err := (&Packer{Workers: 2, Verify: true}).Hash(t.Context(), []*Layer{l}); err != nil {
		t.Errorf("verify: %v", err)
	}
}
