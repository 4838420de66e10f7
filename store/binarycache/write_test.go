package binarycache

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"terrine/store"
	"terrine/store/compression"
	"terrine/store/durable"
	"terrine/store/fault"
)

// files lists a directory with all that is below.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestWriteAgain writes what is there, what is damaged, and what lacks a
// signature.
func TestWriteAgain(t *testing.T) {
	ctx := t.Context()
	b := newBench(t, compression.Zstd)
	if err := b.fetch(t, b.options(t)); err != nil {
		t.Fatal(err)
	}
	infos := []*store.Info{b.small, b.big}
	nar := filepath.Join(b.dir, b.narOf(t, b.big))
	info := filepath.Join(b.dir, b.big.Path.Digest()+".narinfo")
	add := func(o WriteOptions) int {
		t.Helper()
		o.Durable.NoSync = true
		w, err := Create(ctx, b.dir, o)
		if err != nil {
			t.Fatal(err)
		}
		written, err := w.addAll(ctx, infos, b.store.Dump)
		if err != nil {
			t.Fatal(err)
		}
		return len(written)
	}
	if n := add(WriteOptions{}); n != 0 {
		t.Errorf("%d paths written again", n)
	}
	if err := os.Truncate(nar, 10); err != nil {
		t.Fatal(err)
	}
	if n := add(WriteOptions{}); n != 1 {
		t.Errorf("a NAR is cut off: %d paths written", n)
	}
	if text, err := os.ReadFile(info); err != nil || strings.Count(string(text), "Sig: test-1:") != 1 {
		t.Errorf("a NAR was cut off: the signature that the cache had is wanted: %s, %v", text, err)
	}
	if err := os.WriteFile(info, []byte("StorePath: \n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := add(WriteOptions{}); n != 1 {
		t.Errorf("a narinfo is damaged: %d paths written", n)
	}
	if text, err := os.ReadFile(info); err != nil {
		t.Error(err)
	} else if err := os.WriteFile(info, []byte(strings.Replace(string(text), "NarSize: 3", "NarSize: 4", 1)), 0o644); err != nil {
		t.Error(err)
	}
	if n := add(WriteOptions{}); n != 1 {
		t.Errorf("a narinfo has another size: %d paths written", n)
	}
	secret, err := ParseSecretKey(golden(t, "test-1.secret"))
	if err != nil {
		t.Fatal(err)
	}
	before := len(files(t, b.dir))
	secret.Name = "test-2"
	if n := add(WriteOptions{Key: secret, Compression: compression.XZ}); n != 2 {
		t.Errorf("another key: %d paths signed", n)
	}
	if after := files(t, b.dir); len(after) != before {
		t.Errorf("signing left %q", after)
	}
	text, err := os.ReadFile(filepath.Join(b.dir, b.small.Path.Digest()+".narinfo"))
	if err != nil || strings.Count(string(text), "Sig: test-1:") != 1 || strings.Count(string(text), "Sig: test-2:") != 1 {
		t.Errorf("signatures of both keys are wanted: %s, %v", text, err)
	}
}

// TestWriteFails leaves no narinfo without its NAR, and no other file.
func TestWriteFails(t *testing.T) {
	ctx := t.Context()
	b := newBench(t, compression.None)
	broken := errors.New("the disk is gone")
	other := *b.big
	other.NARSize++
	cases := []struct {
		name string
		info *store.Info
		dump dumper
		code fault.Code
	}{
		{"a dump that fails", b.big, func(context.Context, io.Writer, store.Path) error { return broken }, fault.Failed},
		{"a dump of something else", b.big, func(_ context.Context, w io.Writer, _ store.Path) error {
			_, err := io.WriteString(w, "something else")
			return err
		}, fault.StoreDamaged},
		{"another size", &other, func(context.Context, io.Writer, store.Path) error { return nil }, fault.StoreDamaged},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := Create(ctx, dir, WriteOptions{Durable: durable.Options{NoSync: true}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.addAll(ctx, []*store.Info{c.info}, c.dump); fault.CodeOf(err) != c.code {
				t.Errorf("error %v of class %d, want %d", err, fault.CodeOf(err), c.code)
			}
			if left := files(t, dir); len(left) != 1 || left[0] != "nix-cache-info" {
				t.Errorf("left: %q", left)
			}
		})
	}
	other = *b.big
	other.NARHash = b.small.NARHash
	w, err := Create(ctx, b.dir, WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.addAll(ctx, []*store.Info{&other}, nil); fault.CodeOf(err) != fault.Integrity {
		t.Errorf("other contents than the cache has: %v", err)
	}
	if _, err := Create(ctx, b.dir, WriteOptions{StoreDir: "/gnu/store"}); fault.CodeOf(err) != fault.Refused {
		t.Errorf("another store directory: %v", err)
	}
	if _, err := Create(ctx, t.TempDir(), WriteOptions{Compression: compression.Bzip2}); fault.CodeOf(err) != fault.Refused {
		t.Errorf("bzip2: %v", err)
	}
}

// TestWriteOfDamagedObjects: an object that is not what the store should have is
// the store's fault, whatever is wrong with it, and the cache gets nothing of it.
func TestWriteOfDamagedObjects(t *testing.T) {
	for name, damage := range map[string]func(object string) error{
		"missing": os.RemoveAll,
		"a FIFO in it": func(object string) error {
			return errors.Join(os.RemoveAll(object), os.Mkdir(object, 0o755), syscall.Mkfifo(filepath.Join(object, "fifo"), 0o644))
		},
		"another file": func(object string) error {
			return errors.Join(os.RemoveAll(object), os.WriteFile(object, []byte("other"), 0o444))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s, err := store.Open(ctx, t.TempDir(), store.Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, []byte("contents"), 0o644); err != nil {
				t.Fatal(err)
			}
			info, err := s.Add(ctx, file, store.AddOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(filepath.Join(s.RealDir(), info.Path.Base())); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			w, err := Create(ctx, dir, WriteOptions{Durable: durable.Options{NoSync: true}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Store(ctx, s, info.Path); fault.CodeOf(err) != fault.StoreDamaged || fault.HintOf(err) == "" {
				t.Errorf("Store = %v of class %d, hint %q; want StoreDamaged and a hint", err, fault.CodeOf(err), fault.HintOf(err))
			}
			if left := files(t, dir); len(left) != 1 || left[0] != "nix-cache-info" {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// TestWriteOrder looks at the cache at every step: whatever has a narinfo has
// a NAR, and everything it refers to has one.
func TestWriteOrder(t *testing.T) {
	ctx := t.Context()
	b := newBench(t, compression.None)
	if err := b.fetch(t, b.options(t)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	steps := 0
	look := func(string) error {
		steps++
		list := files(t, dir)
		for _, info := range []*store.Info{b.small, b.big} {
			text, err := os.ReadFile(filepath.Join(dir, info.Path.Digest()+".narinfo"))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			n, err := parseNarinfo(store.DefaultDir, text)
			if err != nil {
				t.Fatalf("step %d: %v", steps, err)
			}
			if at, err := os.Stat(filepath.Join(dir, n.URL)); err != nil || at.Size() != n.FileSize {
				t.Errorf("step %d: the NAR of %s: %v", steps, n.Path, err)
			}
			for _, ref := range n.References {
				if _, err := os.Stat(filepath.Join(dir, ref.Digest()+".narinfo")); err != nil {
					t.Errorf("step %d: %s is there before %s", steps, n.Path, ref)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "nix-cache-info")); err != nil {
				t.Errorf("step %d: %v", steps, err)
			}
		}
		if len(list) == 0 {
			t.Errorf("step %d: nothing", steps)
		}
		return nil
	}
	w, err := Create(ctx, dir, WriteOptions{Workers: 1, Compression: compression.None, Durable: durable.Options{Fail: look, NoSync: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.addAll(ctx, []*store.Info{b.big, b.small}, b.store.Dump); err != nil {
		t.Fatal(err)
	}
	if steps < 9 {
		t.Errorf("%d steps only", steps)
	}
}

// TestUmask: who may read the files of a cache is for the umask to say, of all of them.
func TestUmask(t *testing.T) {
	b := newBench(t, compression.None)
	if err := b.fetch(t, b.options(t)); err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0o027))
	dir := t.TempDir()
	w, err := Create(t.Context(), dir, WriteOptions{Durable: durable.Options{NoSync: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.addAll(t.Context(), []*store.Info{b.small}, b.store.Dump); err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o640 {
			t.Errorf("%s: %v, %v; want -rw-r-----", name, info.Mode(), err)
		}
	}
}

// TestInOrder has circles, and what stands twice.
func TestInOrder(t *testing.T) {
	a, b := &store.Info{Path: topPath, References: []store.Path{topPath, depPath}}, &store.Info{Path: depPath, References: []store.Path{twoPath}}
	c := &store.Info{Path: twoPath}
	var order []store.Path
	infos := []*store.Info{a, b, c}
	err := inOrder(t.Context(), infos, 1, func(_ context.Context, i int) error {
		order = append(order, infos[i].Path)
		return nil
	})
	if err != nil || len(order) != 3 || order[0] != twoPath || order[2] != topPath {
		t.Errorf("%q, %v", order, err)
	}
	c.References = []store.Path{topPath}
	err = inOrder(t.Context(), infos, 2, func(context.Context, int) error { return nil })
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "in a circle") {
		t.Errorf("a circle: %v", err)
	}
	broken := errors.New("broken")
	err = inOrder(t.Context(), []*store.Info{b, a}, 2, func(ctx context.Context, i int) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("an error: %v", err)
	}
}

// TestWriterSweeps: what killed writers have left goes, and nothing else does.
func TestWriterSweeps(t *testing.T) {
	b := newBench(t, compression.Zstd)
	const token = "0123456789abcdef"
	hash := b.big.Path.Digest()
	stale := []string{"nar/.new." + token, "nar/.new.fedcba9876543210", "." + hash + ".narinfo." + token, ".nix-cache-info." + token}
	others := []string{"nar/.new-hand-made", "nar/new." + token, ".other." + token, "." + hash + ".narinfo.0123"}
	for _, name := range append(stale, others...) {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	running, err := durable.Create(filepath.Join(b.dir, "nar", newNAR), 0o644, durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Discard()
	before := files(t, b.dir)
	if _, err := Create(t.Context(), b.dir, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	after := files(t, b.dir)
	want := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(stale, name) })
	if !slices.Equal(after, want) {
		t.Errorf("there are %q, want %q", after, want)
	}
}
