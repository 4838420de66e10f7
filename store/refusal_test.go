package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"terrine/store"
	"terrine/store/durable"
	"terrine/store/fault"
	"terrine/store/nar"
	"terrine/tests/need"
)

func TestAddRefusesWhatIsNoStoreObject(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"fifo":   func(path string) error { return unix.Mkfifo(path, 0o644) },
		"socket": func(path string) error { _, err := net.Listen("unix", path); return err },
		"device": func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))) },
	} {
		root := t.TempDir()
		dir := tree(t, map[string]string{"a": "1"})
		odd := filepath.Join(dir, name)
		if err := make(odd); err != nil {
			if errors.Is(err, unix.EPERM) {
				continue // only root makes devices
			}
			t.Fatal(err)
		}
		s := openStore(t, root, store.Options{})
		for _, path := range []string{dir, odd} {
			_, err := s.Add(t.Context(), path, store.AddOptions{Name: "x"})
			if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), odd) {
				t.Errorf("Add(%s) = %v; want Refused naming %s", path, err, odd)
			}
		}
		if left := names(t, filepath.Join(root, "nix/store")); len(left) > 0 {
			t.Errorf("%s: left behind: %q", name, left)
		}
	}
}

// TestTrialThatDoesNotFit: what is tried out before the first object has no name that
// a user knows.
func TestTrialThatDoesNotFit(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	if _, err := s.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	objects := filepath.Join(root, "nix/store")
	for _, owner := range names(t, filepath.Join(root, "nix/var/terrine/owners")) {
		if err := os.Mkdir(filepath.Join(objects, ".tmp-"+owner+"-1"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Add(t.Context(), tree(t, map[string]string{"a": "1"}), store.AddOptions{Name: "x"})
	if err == nil || !strings.HasSuffix(err.Error(), "make a directory in "+objects+": file exists") {
		t.Errorf("Add = %v", err)
	}
}

func TestAddRefusesBadNames(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	dir := tree(t, map[string]string{"a": "1", "a b": "1"})
	for path, name := range map[string]string{
		dir: ".hidden", filepath.Join(dir, "a"): "a/b", filepath.Join(dir, "a b"): "", filepath.Dir(dir): strings.Repeat("x", 212),
	} {
		_, err := s.Add(t.Context(), path, store.AddOptions{Name: name})
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(fault.HintOf(err), "--name") {
			t.Errorf("Add(%q, name %q) = %v, hint %q; want Refused with a hint", path, name, err, fault.HintOf(err))
		}
	}
	_, err := s.Add(t.Context(), filepath.Join(dir, "none"), store.AddOptions{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Add of what is not there = %v; want ErrNotExist", err)
	}
}

func TestAddTakesFilesAndSymlinksAtTheTop(t *testing.T) {
	s := openStore(t, t.TempDir(), store.Options{})
	dir := tree(t, map[string]string{"f": "text", "x*": "#!/bin/sh\n", "l": "-> /nowhere"})
	for name, mode := range map[string]os.FileMode{"f": 0o444, "x": 0o555, "l": os.ModeSymlink | 0o777} {
		info := add(t, s, filepath.Join(dir, name), store.AddOptions{})
		st, err := os.Lstat(filepath.Join(s.RealDir(), info.Path.Base()))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode() != mode || st.ModTime().Unix() != 1 {
			t.Errorf("%s is stored with mode %v, mtime %d; want %v, 1", name, st.Mode(), st.ModTime().Unix(), mode)
		}
	}
	if d := damage(t, s); d != nil {
		t.Errorf("damage: %q", d)
	}
}

// TestAddOfWhatChanges changes a file between its two readings.
func TestAddOfWhatChanges(t *testing.T) {
	root := t.TempDir()
	dir := tree(t, map[string]string{"a": "1"})
	changed := false
	s := openStore(t, root, store.Options{Fail: func(point string) error {
		if point == "store.fill" {
			changed = true
			return os.WriteFile(filepath.Join(dir, "a"), []byte("2"), 0o644)
		}
		return nil
	}})
	_, err := s.Add(t.Context(), dir, store.AddOptions{})
	if !changed || fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("Add = %v; want Refused, changed while it was read", err)
	}
	if left := names(t, filepath.Join(root, "nix/store")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestFailureAtEveryPoint has every named point fail in turn: the store must
// stay valid, and do the same afterwards.
func TestFailureAtEveryPoint(t *testing.T) {
	stop := errors.New("stop")
	dir := tree(t, map[string]string{"a": "1"})
	for n := 1; ; n++ {
		root := t.TempDir()
		openStore(t, root, store.Options{})
		left := n
		s := openStore(t, root, store.Options{Fail: func(string) error {
			if left--; left == 0 {
				return stop
			}
			return nil
		}})
		_, err := s.Add(t.Context(), dir, store.AddOptions{})
		if left > 0 {
			if n < 8 {
				t.Errorf("only %d points", n-1)
			}
			return
		}
		if !errors.Is(err, stop) {
			t.Errorf("point %d: Add = %v; want it stopped", n, err)
		}
		if d := damage(t, s); d != nil {
			t.Errorf("point %d: damage %q", n, d)
		}
		for _, name := range names(t, filepath.Join(root, "nix/store")) {
			if strings.HasPrefix(name, ".") {
				t.Errorf("point %d: %s is left", n, name)
			}
		}
		add(t, s, dir, store.AddOptions{})
		if d := damage(t, s); d != nil {
			t.Errorf("point %d, and again: damage %q", n, d)
		}
	}
}

func TestImportWaitsForWhoMakesThePath(t *testing.T) {
	root := t.TempDir()
	dir := tree(t, map[string]string{"a": "1"})
	info := add(t, openStore(t, t.TempDir(), store.Options{}), dir, store.AddOptions{})
	lock := filepath.Join(root, "nix/var/terrine/locks", info.Path.Base()+".lock")
	s := openStore(t, root, store.Options{LockTimeout: 20 * time.Millisecond})
	held, err := durable.AcquireLock(t.Context(), lock, durable.Exclusive, "it", durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Add(t.Context(), dir, store.AddOptions{})
	if fault.CodeOf(err) != fault.Busy || !strings.Contains(err.Error(), string(info.Path)) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("Add = %v; want Busy naming the path and this process", err)
	}
	if err := held.Remove(); err != nil {
		t.Error(err)
	}
	add(t, s, dir, store.AddOptions{})
}

// TestEqualWorkIsDoneOnce (F25): of many who import one path at once, one reads.
func TestEqualWorkIsDoneOnce(t *testing.T) {
	root := t.TempDir()
	dir := tree(t, map[string]string{"a": strings.Repeat("x", 1<<20)})
	info := add(t, openStore(t, t.TempDir(), store.Options{}), dir, store.AddOptions{})
	var dump bytes.Buffer
	if err := nar.Dump(t.Context(), &dump, dir); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	readers := 0
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			s := openStore(t, root, store.Options{})
			r := &countedReader{Reader: bytes.NewReader(dump.Bytes()), first: func() { mu.Lock(); readers++; mu.Unlock() }}
			if err := s.Import(t.Context(), info, r); err != nil {
				t.Error(err)
			}
			if _, err := s.Info(t.Context(), info.Path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if readers != 1 {
		t.Errorf("%d of 32 read the NAR; want 1", readers)
	}
}

type countedReader struct {
	io.Reader
	first func()
	begun bool
}

func (r *countedReader) Read(p []byte) (int, error) {
	if !r.begun {
		r.begun = true
		r.first()
	}
	return r.Reader.Read(p)
}

func TestImportEndsWithItsContext(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, store.Options{})
	dir := tree(t, map[string]string{"a": "1"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Add(ctx, dir, store.AddOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Add = %v; want context.Canceled", err)
	}
	if _, err := s.ImportStream(ctx, strings.NewReader("")); err == nil {
		t.Error("ImportStream of nothing = <nil>; want an error")
	}
	if left := names(t, filepath.Join(root, "nix/store")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestReadOnlyStore reads a store as a user who may not write to it.
func TestReadOnlyStore(t *testing.T) {
	need.Root(t)
	need.Programs(t, "setpriv")
	root := t.TempDir()
	dir := tree(t, map[string]string{"a": "1"})
	add(t, openStore(t, root, store.Options{}), dir, store.AddOptions{Name: "kept"})
	if out, err := asNobody(t, "list", root, ""); err != nil || !strings.Contains(out, "-kept") {
		t.Errorf("list as nobody = %q, %v; want the path", out, err)
	}
	out, err := asNobody(t, "add", root, dir)
	if err == nil || !strings.Contains(out, "permission denied") {
		t.Errorf("add as nobody = %q, %v; want permission denied", out, err)
	}
}

// TestStoreOfAUser works on a store as a user who is not root.
func TestStoreOfAUser(t *testing.T) {
	need.Root(t)
	need.Programs(t, "setpriv")
	root := t.TempDir()
	if err := os.Chown(root, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{"d/e/f": "1", "x*": "2"})
	for range 2 {
		if out, err := asNobody(t, "add", root, dir); err != nil {
			t.Fatalf("add as nobody: %v\n%s", err, out)
		}
		s, err := store.Open(t.Context(), root, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := damage(t, s); d != nil {
			t.Errorf("damage: %q", d)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		// Without its row the object is garbage, which the second round must remove.
		if out, err := asNobody(t, "forget", root, ""); err != nil {
			t.Fatalf("forget: %v\n%s", err, out)
		}
	}
}

// asNobody runs a task of child as a user without rights.
func asNobody(t *testing.T, task, root, input string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	if err := copyFile(self, program); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{root, input, program} {
		for d := path; strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program)
	cmd.Env = append(os.Environ(), childTask+"="+task, childStore+"="+root, childInput+"="+input, childPoint+"=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return os.WriteFile(to, b, 0o755)
}
