package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"terrine/store"
	"terrine/store/nar"
)

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestOptimiseLinksEqualFiles(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	text := strings.Repeat("equal", 1000)
	one := add(t, s, tree(t, map[string]string{"d/f": text, "x*": text, "l": "-> d/f", "own": "1"}), store.AddOptions{Name: "one"}).Path
	two := add(t, s, tree(t, map[string]string{"g": text, "x*": text, "own": "2"}), store.AddOptions{Name: "two"}).Path
	three := add(t, s, filepath.Join(tree(t, map[string]string{"h": text}), "h"), store.AddOptions{Name: "three"}).Path
	at := func(p store.Path, name string) string { return filepath.Join(s.RealDir(), p.Base(), name) }
	done, err := s.Optimise(t.Context())
	if err != nil || done.Files != 3 || done.Bytes != int64(3*len(text)) {
		t.Errorf("Optimise = %+v, %v; want 3 files of %d bytes", done, err, len(text))
	}
	f := inode(t, at(one, "d/f"))
	if g, h := inode(t, at(two, "g")), inode(t, at(three, "")); f != g || f != h {
		t.Errorf("inodes %d, %d and %d; want one", f, g, h)
	}
	if x, y := inode(t, at(one, "x")), inode(t, at(two, "x")); x != y || x == f {
		t.Errorf("executables: inodes %d and %d; want one, and not %d", x, y, f)
	}
	for _, dir := range []string{at(one, ""), at(one, "d"), at(two, "")} {
		if st, err := os.Stat(dir); err != nil || st.ModTime().UnixNano() != 1e9 || st.Mode().Perm() != 0o555 {
			t.Errorf("%s is %v, of %v; want 0555, of 1 s", dir, st.Mode(), st.ModTime())
		}
	}
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
	if done, err := s.Optimise(t.Context()); err != nil || done.Files != 0 {
		t.Errorf("Optimise again = %+v, %v; want nothing to do", done, err)
	}
	sound(t, root)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	collect(t, other(t, root), store.GCOptions{})
	if left := names(t, filepath.Join(root, "nix/store/.links")); len(left) > 0 {
		t.Errorf("left in the pool: %q", left)
	}
}

// TestOptimiseAfterAKill: one who was killed while replacing a file has left its
// directory writable and of another time; the next puts that right.
func TestOptimiseAfterAKill(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	p := add(t, s, tree(t, map[string]string{"d/f": "1", "g": "2"}), store.AddOptions{}).Path
	object := filepath.Join(s.RealDir(), p.Base())
	for _, dir := range []string{object, filepath.Join(object, "d")} {
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chtimes(dir, time.Time{}, time.Unix(1e9, 0))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Optimise(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{object, filepath.Join(object, "d")} {
		if st, err := os.Stat(dir); err != nil || st.ModTime().UnixNano() != 1e9 || st.Mode().Perm() != 0o555 {
			t.Errorf("%s is %v, of %v; want 0555, of 1 s", dir, st.Mode(), st.ModTime())
		}
	}
}

// TestOptimiseTrustsNoPool damages a file of the pool: no object may get it.
func TestOptimiseTrustsNoPool(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	one := add(t, s, tree(t, map[string]string{"f": "good"}), store.AddOptions{Name: "one"}).Path
	if _, err := s.Optimise(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(filepath.Join(s.RealDir(), one.Base(), "f"), "evil"); err != nil {
		t.Fatal(err)
	}
	add(t, s, tree(t, map[string]string{"g": "good"}), store.AddOptions{Name: "two"})
	add(t, s, tree(t, map[string]string{"h": "good"}), store.AddOptions{Name: "three"})
	done, err := s.Optimise(t.Context())
	if err != nil || done.Files != 1 {
		t.Errorf("Optimise = %+v, %v; want the two good files linked", done, err)
	}
	if d := damage(t, s); len(d) != 1 || !strings.HasPrefix(d[0], string(one)) {
		t.Errorf("damage: %q; want that of %s alone", d, one)
	}
}

// TestOptimiseWhileOthersRead reads objects, as builds do, while they are
// linked: no read may fail or differ.
func TestOptimiseWhileOthersRead(t *testing.T) {
	for range 8 {
		optimiseWhileOthersRead(t)
	}
}

func optimiseWhileOthersRead(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	files := map[string]string{}
	for _, name := range strings.Fields("a b c e f g h i j k l m n o p") {
		files[name], files["d/"+name] = "the same for "+name, "the same for "+name
	}
	var infos []*store.Info
	for _, name := range []string{"one", "two", "three"} {
		files["own"] = name
		infos = append(infos, add(t, s, tree(t, files), store.AddOptions{Name: name}))
	}
	stop := make(chan struct{})
	var begun, ended sync.WaitGroup
	for _, info := range infos {
		begun.Add(1)
		ended.Go(func() {
			for round := 0; ; round++ {
				hash, _, err := nar.Hash(t.Context(), filepath.Join(s.RealDir(), info.Path.Base()))
				if err != nil || hash != info.NARHash {
					t.Errorf("while optimising: %s, %v; want %s", hash, err, info.NARHash)
				}
				if round == 0 {
					begun.Done()
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	begun.Wait()
	if done, err := s.Optimise(t.Context()); err != nil || done.Files != 75 {
		t.Errorf("Optimise = %+v, %v; want 75 files", done, err)
	}
	close(stop)
	ended.Wait()
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
}
