package layer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"terrine/builder/layer/codec"
	"terrine/store"
	"terrine/store/fault"
	"terrine/store/nar"
)

// hashed fills in the NAR hashes of objects.
func hashed(t *testing.T, objects []store.Object) []store.Object {
	t.Helper()
	for i := range objects {
		var err error
		if objects[i].NARHash, objects[i].NARSize, err = nar.Hash(t.Context(), filepath.Join(objects[i].Dir, objects[i].Path.Base())); err != nil {
			t.Fatal(err)
		}
	}
	return objects
}

func TestVerify(t *testing.T) {
	gz, err := codec.Gzip(codec.Default)
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]func(p *Packer, layers []*Layer) error{
		"Hash": func(p *Packer, layers []*Layer) error { _, err := p.Hash(t.Context(), layers); return err },
		"Stream": func(p *Packer, layers []*Layer) error {
			_, err := p.Stream(t.Context(), layers, gz, func(int) (io.Writer, error) { return io.Discard, nil })
			return err
		},
	}
	for name, pack := range ways {
		for _, workers := range []int{1, 4} {
			objects := hashed(t, testStore(t))
			p := &Packer{Workers: workers, Verify: true}
			if err := pack(p, testLayers(t, objects, 2)); err != nil {
				t.Errorf("%s of sound objects: %v", name, err)
			}
			for i := range objects {
				path := filepath.Join(objects[i].Dir, objects[i].Path.Base())
				damage(t, path)
				err := pack(p, testLayers(t, objects, 2))
				if err == nil || !strings.Contains(err.Error(), string(objects[i].Path)) || fault.CodeOf(err) != fault.Integrity {
					t.Errorf("%s of a damaged %s: %v", name, objects[i].Path.Name(), err)
				}
				if err := pack(&Packer{Workers: workers}, testLayers(t, objects, 2)); err != nil {
					t.Errorf("%s without Verify: %v", name, err)
				}
				objects = hashed(t, objects)
			}
		}
	}
}

// TestLinkedFileThatCannotBeOpened: what keeps the check from reading a file that is
// a hardlink in the tar is no damage of the object; that there is no file is.
func TestLinkedFileThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("x", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, sound := range map[string]bool{"gone": true, "link": true, ".": true, strings.Repeat("n", 256): false} {
		n := newNARCheck(t.Context(), &objectSegment{object: store.Object{Dir: dir}, scaffold: &Scaffold{}})
		e := entry{path: []byte(name)}
		e.tag = tagLink
		if err := n.linked(&e); (err == nil) != sound || (err != nil && !strings.Contains(err.Error(), dir)) {
			t.Errorf("the link %.10q: %v", name, err)
		}
	}
}

// TestStoppedReadingOfLinks: links are read beside what is packed, and who stops does
// not wait for the whole of a large one. The error names the files.
func TestStoppedReadingOfLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "text", 0o644)
	write(t, filepath.Join(dir, "b"), "text", 0o644)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	object := store.Object{Dir: dir}
	e := entry{path: []byte("a"), record: record{tag: tagLink, link: "b"}}
	if err := newNARCheck(ctx, &objectSegment{object: object, scaffold: &Scaffold{}}).linked(&e); !errors.Is(err, context.Canceled) {
		t.Errorf("to verify it: %v", err)
	}
	r := reader{roots: &roots{}, ctx: ctx}
	defer r.roots.close()
	_, err := r.same(&object, e.path, []byte(e.link), false)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "compare "+dir+"/a with "+dir+"/b") {
		t.Errorf("to compare it: %v", err)
	}
}

// damage changes one byte somewhere in a store object, or its target, and
// nothing of its size.
func damage(t *testing.T, path string) {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case st.Mode()&os.ModeSymlink != 0:
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("elsewhere", path); err != nil {
			t.Fatal(err)
		}
		return
	case st.IsDir():
		name := "512"
		if strings.HasSuffix(path, "-large") {
			name = "2"
		}
		path = filepath.Join(path, name)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, st.Mode().Perm()&0o777|0o444); err != nil {
		t.Fatal(err)
	}
}
