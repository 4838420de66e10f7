package input

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"terrine/tests/need"
)

// needLinux is for what is only known of Linux.
func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		need.Lacking(t, "this is not Linux")
	}
}

func makeFIFO(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// holders returns how many descriptors of this process are of a file.
func holders(name string) int {
	n := 0
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == name {
			n++
		}
	}
	return n
}

// awaitOpen returns when this process has opened a file.
func awaitOpen(name string) {
	for holders(name) == 0 {
		runtime.Gosched()
	}
}

// TestOpenIsCalledOff: and leaves neither a goroutine nor a descriptor.
func TestOpenIsCalledOff(t *testing.T) {
	needLinux(t)
	name := makeFIFO(t)
	cause := errors.New("called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Open(ctx, name)
		ended <- err
	}()
	awaitOpen(name)
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) || err.Error() != "open "+name+": called off" {
		t.Errorf("error %v, want that of opening %s, and %v", err, name, cause)
	}
	if n := holders(name); n != 0 {
		t.Errorf("%d descriptors of it are open", n)
	}
	stacks := make([]byte, 1<<20)
	if s := string(stacks[:runtime.Stack(stacks, true)]); strings.Contains(s, "openFIFO") {
		t.Errorf("somebody still waits:\n%s", s)
	}
	if _, err := Open(ctx, name); !errors.Is(err, cause) {
		t.Errorf("after the end: error %v, want %v", err, cause)
	}
}

// TestOpenWaitsForAWriter: for one who writes and goes, writes and stays, or
// just goes.
func TestOpenWaitsForAWriter(t *testing.T) {
	needLinux(t)
	for _, text := range []string{"", "x", strings.Repeat("x", 1<<17)} {
		name := makeFIFO(t)
		written := make(chan error, 1)
		go func() {
			awaitOpen(name) // else the open for writing might come first
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				written <- err
				return
			}
			_, err = io.WriteString(f, text)
			written <- errors.Join(err, f.Close())
		}()
		f, err := Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close(), <-written); err != nil || string(got) != text {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, len(text))
		}
	}
}

// TestReadIsCalledOff: of a FIFO whose writer says nothing.
func TestReadIsCalledOff(t *testing.T) {
	needLinux(t)
	name := makeFIFO(t)
	w, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := io.WriteString(w, "x"); err != nil {
		t.Fatal(err)
	}
	callOff(t, name, func(f *File) {
		if n, err := f.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	})
}

// callOff wants a read of a file that has nothing to say to end with its context.
// before is what is done with the file first.
func callOff(t *testing.T, name string, before func(*File)) {
	t.Helper()
	cause := errors.New("called off")
	ctx, cancel := context.WithCancelCause(t.Context())
	f, err := Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before(f)
	ended := make(chan error, 1)
	go func() {
		_, err := f.Read(make([]byte, 1))
		ended <- err
	}()
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
}

// TestOpenFile: what is no FIFO is opened as ever.
func TestOpenFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if info, statErr := f.Stat(); errors.Join(err, statErr, f.Close()) != nil || string(got) != "x" || info.Size() != 1 {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := Open(t.Context(), name+"none"); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}
