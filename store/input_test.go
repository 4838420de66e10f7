package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"terrine/store"
	"terrine/store/fault"
	"terrine/store/nar"
	"terrine/tests/need"
)

// TestSourcesOfOddTimes (F32): times of a source change nothing.
func TestSourcesOfOddTimes(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	var first store.Path
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(-1, 0), time.Unix(1<<33, 999_999_999), time.Unix(1, 1)} {
		dir := tree(t, map[string]string{"a": "1", "d/b": "2"})
		for _, name := range []string{"a", "d/b", "d", "."} {
			if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
				t.Fatal(err)
			}
		}
		p := add(t, s, dir, store.AddOptions{}).Path
		if first == "" {
			first = p
		}
		for _, name := range []string{"a", "d/b", "d", "."} {
			st, err := os.Stat(filepath.Join(s.RealDir(), p.Base(), name))
			if err != nil || p != first || st.ModTime().UnixNano() != 1e9 {
				t.Errorf("a source of %s is %s, with %s of %v (%v); want %s, of 1 s", at, p, name, st.ModTime(), err, first)
			}
		}
	}
}

// TestSourcesOfOddModes (F40, F42): bits and attributes that no store has are
// dropped; the execute bit of the owner counts.
func TestSourcesOfOddModes(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	dir := tree(t, map[string]string{"suid*": "1", "sticky": "2", "group": "3", "d/x": "4"})
	for name, mode := range map[string]uint32{"suid": 0o6755, "sticky": 0o1666, "group": 0o675 &^ 0o100, "d": 0o3777} {
		if err := unix.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Setxattr(filepath.Join(dir, "group"), "user.note", []byte("x"), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	p := add(t, s, dir, store.AddOptions{}).Path
	for name, want := range map[string]os.FileMode{"suid": 0o555, "sticky": 0o444, "group": 0o444, "d": os.ModeDir | 0o555} {
		file := filepath.Join(s.RealDir(), p.Base(), name)
		if st, err := os.Lstat(file); err != nil || st.Mode() != want {
			t.Errorf("%s has mode %v, %v; want %v", name, st.Mode(), err, want)
		}
		if n, err := unix.Listxattr(file, nil); err == nil && n > 0 {
			t.Errorf("%s has extended attributes", name)
		}
	}
}

// TestUnreadableSource (F41): who is not root is told which file it is.
func TestUnreadableSource(t *testing.T) {
	need.Root(t)
	need.Programs(t, "setpriv")
	root := t.TempDir()
	dir := tree(t, map[string]string{"a": "1", "secret": "2"})
	if err := errors.Join(os.Chmod(filepath.Join(dir, "secret"), 0), os.Chown(root, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	add(t, openStore(t, t.TempDir(), store.Options{}), dir, store.AddOptions{}) // as root
	out, err := asNobody(t, "add", root, dir)
	if err == nil || !strings.Contains(out, filepath.Join(dir, "secret")) || !strings.Contains(out, "permission denied") {
		t.Errorf("as nobody: %v, %q; want permission denied for secret", err, out)
	}
}

// TestSourcesThatChange (F36, F37) has somebody write to, or link, a file while
// it is added, a thousand times. What is added must be one state of it, and links
// must make no difference.
func TestSourcesThatChange(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	dir := tree(t, map[string]string{"a": strings.Repeat("x", 50_000), "linked": "1"})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			text := strings.Repeat(string(rune('a'+n%26)), 40_000+n%20_000)
			other := filepath.Join(dir, "..", "other")
			if os.WriteFile(filepath.Join(dir, "a"), []byte(text), 0o644) != nil || os.Link(filepath.Join(dir, "linked"), other) != nil || os.Remove(other) != nil {
				t.Error("cannot change the source")
				return
			}
		}
	})
	added, refused := 0, 0
	for range 1000 {
		_, err := s.Add(t.Context(), dir, store.AddOptions{Name: "changing"})
		switch {
		case err == nil:
			added++
		case fault.CodeOf(err) == fault.Refused && strings.Contains(err.Error(), "changed while"):
			refused++
		default:
			t.Fatal(err)
		}
		info, err := s.Add(t.Context(), filepath.Join(dir, "linked"), store.AddOptions{})
		if err != nil || info.NARSize != 120 {
			t.Fatalf("add of what is being linked: %v, %v", info, err)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("added %d, refused %d", added, refused)
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
}

// TestVanishingExport (F38) removes an object while it is exported.
func TestVanishingExport(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	files := make(map[string]string)
	for _, name := range strings.Split("a b c d e f g h", " ") {
		files[name] = strings.Repeat(name, 200_000)
	}
	p := add(t, s, tree(t, files), store.AddOptions{Name: "p"}).Path
	w := &vanisher{object: filepath.Join(s.RealDir(), p.Base())}
	err := s.Export(t.Context(), w, p)
	if fault.CodeOf(err) != fault.StoreDamaged || !strings.Contains(err.Error(), string(p)) {
		t.Errorf("Export = %v; want class StoreDamaged, and the path", err)
	}
	if _, err := openStore(t, t.TempDir(), store.Options{}).ImportStream(t.Context(), &w.Buffer); fault.CodeOf(err) != fault.Refused {
		t.Errorf("ImportStream of it = %v; want class Refused", err)
	}
}

type vanisher struct {
	bytes.Buffer
	object string
}

func (v *vanisher) Write(p []byte) (int, error) {
	if err := need.RemoveAll(v.object); err != nil {
		return 0, err
	}
	return v.Buffer.Write(p)
}

// TestDeepAndLongSources (F45, F46, F47, F48, F50, F51): what a NAR can hold is
// kept byte for byte; what it cannot is refused.
func TestDeepAndLongSources(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	odd := map[string]string{
		strings.Repeat("n", 255): "long", "\xff\xfe invalid": "1", "new\nline": "2", "\x1b[31m": "3", "back\\slash": "4", " leading": "5", "trailing.": "6",
		"caf\u00e9": "NFC", "cafe\u0301": "NFD", "Case": "7", "case": "8", ".wh.x": "9", "link": "-> link", "long link": "-> " + strings.Repeat("t/", 2000), "away": "-> ../../..",
		strings.TrimSuffix(strings.Repeat("d/", nar.MaxDepth-1), "/"): "deep",
	}
	dir := tree(t, odd)
	info := add(t, s, dir, store.AddOptions{})
	for name, text := range odd {
		path := filepath.Join(s.RealDir(), info.Path.Base(), name)
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if got, err := os.Readlink(path); err != nil || got != target {
				t.Errorf("%q leads to %.40q, %v", name, got, err)
			}
		} else if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q has %q, %v; want %q", name, got, err, text)
		}
	}
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
	deep := tree(t, map[string]string{strings.Repeat("d/", nar.MaxDepth-1) + "f": "too deep"})
	if _, err := s.Add(t.Context(), deep, store.AddOptions{}); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), deep) {
		t.Errorf("Add of what is too deep = %v; want class Refused", err)
	}
}

// TestHardLinksOut (F53): a link to a file outside is copied, and the file is
// left as it was.
func TestHardLinksOut(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	dir := tree(t, map[string]string{"in/f": "1", "out": "secret"})
	if err := os.Link(filepath.Join(dir, "out"), filepath.Join(dir, "in", "link")); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	p := add(t, s, filepath.Join(dir, "in"), store.AddOptions{}).Path
	if _, err := s.Optimise(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(dir, "out"))
	inside, err2 := os.Stat(filepath.Join(s.RealDir(), p.Base(), "link"))
	if err != nil || err2 != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) || os.SameFile(after, inside) {
		t.Errorf("the file outside is %v of %v; was %v of %v (%v, %v)", after.Mode(), after.ModTime(), before.Mode(), before.ModTime(), err, err2)
	}
}

// TestCircles (F54): paths that refer to each other are refused, by themselves
// they may.
func TestCircles(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	a := add(t, openStore(t, t.TempDir(), store.Options{}), tree(t, map[string]string{"f": "a"}), store.AddOptions{Name: "a"})
	b := add(t, openStore(t, t.TempDir(), store.Options{}), tree(t, map[string]string{"f": "b"}), store.AddOptions{Name: "b"})
	dumpOf := func(name string) io.Reader {
		var buf bytes.Buffer
		if err := nar.Dump(t.Context(), &buf, tree(t, map[string]string{"f": name})); err != nil {
			t.Fatal(err)
		}
		return &buf
	}
	a.References, b.References = []store.Path{b.Path}, []store.Path{a.Path}
	for _, info := range []*store.Info{a, b} {
		if err := s.Import(t.Context(), info, dumpOf(info.Path.Name())); fault.CodeOf(err) != fault.Refused {
			t.Errorf("Import of one in a circle = %v; want class Refused", err)
		}
	}
	a.References = []store.Path{a.Path}
	if err := s.Import(t.Context(), a, dumpOf("a")); err != nil {
		t.Errorf("Import of one that refers to itself = %v", err)
	}
	if c, err := s.GC(t.Context(), store.GCOptions{}); err != nil || len(c.Paths) != 0 {
		t.Errorf("GC = %v, %v; want nothing, for it is held", c, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := s.GC(t.Context(), store.GCOptions{}); err != nil || len(c.Paths) != 1 {
		t.Errorf("GC = %v, %v; want the path that refers to itself", c, err)
	}
}

// TestOddClocks (F31): a clock that jumps, or stands in 1970 or 2100, changes
// nothing but the dates of registration.
func TestOddClocks(t *testing.T) {
	dir := tree(t, map[string]string{"a": "1"})
	want := add(t, openStore(t, t.TempDir(), store.Options{}), dir, store.AddOptions{})
	for _, start := range []time.Time{time.Unix(0, 0), time.Unix(-1, 0), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)} {
		now := start
		root := t.TempDir()
		s := openStore(t, root, store.Options{Now: func() time.Time {
			now = now.Add(-365 * 24 * time.Hour) // back, with every look
			return now
		}})
		if got := add(t, s, dir, store.AddOptions{}); got.Path != want.Path || got.NARHash != want.NARHash {
			t.Errorf("from %s on: %v; want %v", start, got, want)
		}
		if r, err := s.Rebuild(t.Context()); err != nil || len(r.Valid) != 1 {
			t.Errorf("from %s on: Rebuild = %v, %v", start, r, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if c, err := s.GC(t.Context(), store.GCOptions{}); err != nil || len(c.Paths) != 1 {
			t.Errorf("from %s on: GC = %v, %v; want the path", start, c, err)
		}
		sound(t, root)
	}
}

// TestCrossedImports (F26): imports of the same paths in many orders wait for
// each other, and never in a circle.
func TestCrossedImports(t *testing.T) {
	source := openStore(t, t.TempDir(), store.Options{})
	var list []store.Path
	for _, name := range strings.Split("a b c d e f", " ") {
		list = append(list, add(t, source, tree(t, map[string]string{"f": name}), store.AddOptions{Name: name}).Path)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for range 20 {
		root := t.TempDir()
		var wg sync.WaitGroup
		for i := range list {
			wg.Go(func() {
				var buf bytes.Buffer
				for j := range list { // from the i-th on, forwards or backwards
					p := list[(i+j*(1+4*(i%2)))%len(list)]
					info, err := source.Info(ctx, p)
					if err == nil {
						err = store.ExportObject(&buf, info, func(w io.Writer) error {
							return nar.Dump(ctx, w, filepath.Join(source.RealDir(), p.Base()))
						})
					}
					if err != nil {
						t.Error(err)
					}
				}
				if err := store.EndExport(&buf); err != nil {
					t.Error(err)
				}
				if infos, err := openStore(t, root, store.Options{NoSync: true}).ImportStream(ctx, &buf); err != nil || len(infos) != len(list) {
					t.Errorf("ImportStream = %d paths, %v", len(infos), err)
				}
			})
		}
		wg.Wait()
		sound(t, root)
	}
}
