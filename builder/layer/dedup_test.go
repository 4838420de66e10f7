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
	"time"

	"terrine/store"
	"terrine/store/fault"
)

// dedupLayer makes the layer of one object with content-dedup.
func dedupLayer(t *testing.T, o store.Object, workers int) (*Layer, []byte) {
	t.Helper()
	policy := Policy{Owner: defaultOwner(), ContentDedup: true}
	scaffolds, err := Scan(t.Context(), store.ObjectList{o}, policy, workers)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeScaffold(scaffolds[0].Encode(), o, policy)
	if err != nil || again.Size != scaffolds[0].Size {
		t.Fatalf("the scaffold does not survive encoding: %v", err)
	}
	l := New(policy, store.ObjectList{o}, []*Scaffold{again})
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
	o := hashed(t, store.ObjectList{{Info: store.Info{Path: p}, Dir: dir}})[0]
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

// TestDedupReadsLittle: files that differ in size are not read before they are
// packed, and those that differ in their first block no further; however far two are
// alike, they are not linked unless they are equal.
func TestDedupReadsLittle(t *testing.T) {
	dir := t.TempDir()
	p, err := store.DefaultDir.Join(testDigest + "-alike")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, p.Base())
	long := strings.Repeat("a long text, ", 1000)
	for name, text := range map[string]string{
		"a-first":        long + "1",
		"b-other-end":    long + "2",
		"c-other-head":   "1" + long,
		"d-equal":        long + "1",
		"e-other-length": long,
		"f-block":        long[:headSize],
		"g-block":        long[:headSize],
		"h-block-more":   long[:headSize] + "x",
		"i-block-more":   long[:headSize] + "y",
		"j-block-more":   long[:headSize] + "y",
	} {
		write(t, filepath.Join(root, name), text, 0o644)
	}
	o := store.Object{Info: store.Info{Path: p}, Dir: dir}
	_, raw := dedupLayer(t, o, 2)
	var links []string
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeLink {
			links = append(links, filepath.Base(h.Name)+" "+filepath.Base(h.Linkname))
		}
	}
	if want := []string{"d-equal a-first", "g-block f-block", "j-block-more i-block-more"}; !slices.Equal(links, want) {
		t.Errorf("links %q, want %q", links, want)
	}
}

// TestDedupOfWhatChanges: a file that is not as it was when its size was taken is an
// error that names it. What becomes a link is not looked at any more when the layer is
// packed.
func TestDedupOfWhatChanges(t *testing.T) {
	text := strings.Repeat("x", 5000)
	for name, change := range map[string]func(file string) error{
		"grown":         func(file string) error { return os.WriteFile(file, []byte(text+"y"), 0o644) },
		"cut":           func(file string) error { return os.Truncate(file, 4999) },
		"cut in a head": func(file string) error { return os.Truncate(file, 10) },
		"empty":         func(file string) error { return os.Truncate(file, 0) },
		"written again": func(file string) error { return os.Chtimes(file, time.Time{}, time.Unix(77, 0)) },
		"gone":          os.Remove,
	} {
		dir := t.TempDir()
		p, err := store.DefaultDir.Join(testDigest + "-changes")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, p.Base(), "b")
		write(t, filepath.Join(dir, p.Base(), "a"), text, 0o644)
		write(t, file, text, 0o644)
		objects := store.ObjectList{{Info: store.Info{Path: p}, Dir: dir}}
		scaffolds, err := Scan(t.Context(), objects, defaultPolicy(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(file); err != nil {
			t.Fatal(err)
		}
		err = dedup(t.Context(), objects, scaffolds, Policy{Owner: defaultOwner(), ContentDedup: true}, 1)
		if !IsStale(err) || fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
