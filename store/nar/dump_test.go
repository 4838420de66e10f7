package nar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"terrine/store/fault"
	"terrine/tests/need"
)

func TestDumpEqualsGoldens(t *testing.T) {
	dir := need.TempDir(t)
	makeGoldenTrees(t, dir)
	for _, g := range goldens(t) {
		hash, size, err := Hash(context.Background(), dir+"/"+g.name)
		if err != nil || hash != g.hash || size != g.size {
			t.Errorf("Hash(%s) = %s, %d, %v; want %s, %d", g.name, hash, size, err, g.hash, g.size)
		}
		if g.name == "sparse" {
			continue // its NAR is not kept
		}
		if got := dump(t, dir+"/"+g.name); !bytes.Equal(got, goldenNAR(t, g.name)) {
			t.Errorf("Dump(%s) is not the NAR that Nix made", g.name)
		}
	}
}

func TestDumpEqualsNixLive(t *testing.T) {
	dir := need.TempDir(t)
	makeGoldenTrees(t, dir)
	m := maker{t, dir}
	m.mkdir("many")
	for i := range 300 {
		m.file("many/"+strings.Repeat("x", i%7)+string(rune('A'+i%26))+strings.Repeat("y", i%50), strings.Repeat("c", i), 0o644)
	}
	m.file("large", strings.Repeat("0123456789abcdef!", 100_000), 0o755) // several buffers, and padding
	deep := "deep" + strings.Repeat("/d", MaxDepth-3)
	m.mkdir(deep)
	m.file(deep+"/f", "bottom", 0o644)
	if got, want := dump(t, dir), nixDump(t, dir); !bytes.Equal(got, want) {
		t.Errorf("Dump makes %d bytes, nix-store --dump %d, and they differ", len(got), len(want))
	}
}

func TestDumpRefusesSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	m := maker{t, dir}
	m.mkdir("fifo")
	m.check(syscall.Mkfifo(dir+"/fifo/pipe", 0o644))
	m.mkdir("socket")
	listener, err := net.Listen("unix", dir+"/socket/s")
	m.check(err)
	defer listener.Close()
	for path, want := range map[string]string{
		dir + "/fifo":      `fifo/pipe": it is a FIFO`,
		dir + "/fifo/pipe": `fifo/pipe": it is a FIFO`,
		dir + "/socket":    `socket/s": it is a socket`,
		"/dev/null":        `"/dev/null": it is a device`,
	} {
		err := Dump(context.Background(), io.Discard, path)
		if err == nil || !strings.Contains(err.Error(), want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("Dump(%q) = %v; want a refusal with %q", path, err, want)
		}
	}
}

func TestDumpRefusesWhatNixCannotRead(t *testing.T) {
	dir := t.TempDir()
	m := maker{t, dir}
	m.mkdir("deep" + strings.Repeat("/d", MaxDepth))
	err := Dump(context.Background(), io.Discard, dir+"/deep")
	if err == nil || !strings.Contains(err.Error(), "nested deeper than 64") || fault.CodeOf(err) != fault.Refused {
		t.Errorf("Dump of a deep tree: %v", err)
	}
	if err := Dump(context.Background(), io.Discard, dir+"/missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Dump of a missing path: %v, want os.ErrNotExist", err)
	}
}

// onWrite is a writer that does something at its first write. Dump has then
// read the first buffer of a large file, and not the last.
type onWrite struct{ do func() }

func (w *onWrite) Write(b []byte) (int, error) {
	if w.do != nil {
		w.do()
		w.do = nil
	}
	return len(b), nil
}

func TestDumpDetectsChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large")
	link := file + ".link"
	old := time.Unix(1, 0)
	for name, tc := range map[string]struct {
		do      func() error
		changed bool
	}{
		"grows":   {func() error { return os.Truncate(file, 5*bufSize) }, true},
		"shrinks": {func() error { return os.Truncate(file, 2*bufSize) }, true},
		"written in place, same size": {func() error {
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("x"), 0)
			return err
		}, true},
		"touched":            {func() error { return os.Chtimes(file, old, time.Unix(2, 0)) }, true},
		"linked":             {func() error { return os.Link(file, link) }, false},
		"mode (ctime) alone": {func() error { return os.Chmod(file, 0o400) }, false},
		"renamed away":       {func() error { return os.Rename(file, file+".away") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			os.Remove(link)
			os.Remove(file)
			m := maker{t, filepath.Dir(file)}
			m.file("large", strings.Repeat("z", 4*bufSize), 0o600)
			m.check(os.Chtimes(file, old, old))
			w := &onWrite{do: func() { m.check(tc.do()) }}
			err := Dump(context.Background(), w, file)
			if !tc.changed && err != nil {
				t.Errorf("Dump: %v", err)
			}
			if tc.changed && (err == nil || !strings.Contains(err.Error(), "changed while it was read") ||
				!strings.Contains(err.Error(), file) || fault.CodeOf(err) != fault.Refused) {
				t.Errorf("Dump: %v; want a refusal that names the file", err)
			}
		})
	}
}

// TestDumpOfTheLargestFile: its size and what is buffered are more than an int64.
func TestDumpOfTheLargestFile(t *testing.T) {
	m := maker{t, t.TempDir()}
	m.file("file", "", 0o644)
	if os.Truncate(m.at("file"), math.MaxInt64) != nil { // tmpfs and xfs have such files
		dir, err := os.MkdirTemp("/dev/shm", "nar")
		if err != nil {
			need.Lacking(t, "no file system with files of 2^63-1 bytes")
		}
		defer os.RemoveAll(dir)
		m.dir = dir
		m.file("file", "", 0o644)
		m.check(os.Truncate(m.at("file"), math.MaxInt64))
	}
	broken := errors.New("broken")
	if err := Dump(context.Background(), failingWriter{broken}, m.at("file")); !errors.Is(err, broken) {
		t.Errorf("Dump = %v, want the writer's error", err)
	}
}

func TestDumpStops(t *testing.T) {
	dir := t.TempDir()
	m := maker{t, dir}
	m.file("large", strings.Repeat("z", 4*bufSize), 0o600)
	ctx, cancel := context.WithCancel(context.Background())
	if err := Dump(ctx, &onWrite{do: cancel}, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("Dump = %v, want context.Canceled", err)
	}
	broken := errors.New("broken")
	if err := Dump(context.Background(), failingWriter{broken}, dir); !errors.Is(err, broken) {
		t.Errorf("Dump = %v, want the writer's error", err)
	}
	if err := Dump(context.Background(), failingWriter{nil}, dir); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("Dump = %v, want io.ErrShortWrite", err)
	}
}

// failingWriter writes nothing, and says so or not.
type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
