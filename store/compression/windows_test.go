package compression

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"terrine/store/fault"
	"terrine/tests/need"
)

// packed has a real program compress data with the flags given.
func packed(t *testing.T, data, program string, flags ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need.Program(t, program), append(flags, "-q", "-c")...)
	cmd.Stdin = strings.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWanted: the window is the one that the tool was told to use.
func TestWanted(t *testing.T) {
	for _, test := range []struct {
		format Format
		data   []byte
		want   int64
	}{
		{XZ, packed(t, text, "xz", "-6"), 8 << 20},
		{XZ, packed(t, text, "xz", "-6", "-T2"), 8 << 20}, // tells sizes in block headers
		{XZ, packed(t, text, "xz", "-9"), 64 << 20},
		{XZ, packed(t, text, "xz", "--x86", "--lzma2=dict=128MiB"), 128 << 20},
		{XZ, packed(t, text, "xz", "--delta=dist=4", "--x86", "--lzma2=dict=6MiB"), 6 << 20},
		{XZ, packed(t, text, "xz", "--lzma2=dict=1GiB"), maxDictionary},
		{XZ, packed(t, "", "xz"), maxDictionary},
		{XZ, []byte("\xfd7zXZ\x00"), maxDictionary},
		{XZ, nil, maxDictionary},
		{XZ, []byte("\xfd7zXZ\x00\x00\x04CRC!\x02"), maxDictionary},             // no more than the size of a block header
		{XZ, []byte("\xfd7zXZ\x00\x00\x04CRC!\x02\x00\x21\x01"), maxDictionary}, // LZMA2 without its dictionary
		{XZ, []byte("\xfd7zXZ\x00\x00\x04CRC!\x02\x01\x03\x7fx"), maxDictionary},
		{Zstd, packed(t, text, "zstd", "-3", "--no-content-size"), 2 << 20},
		{Zstd, packed(t, text, "zstd", "-1", "--long=27"), 128 << 20},
		{Zstd, []byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), maxWindow},
		{Zstd, append([]byte("\x5f\x2a\x4d\x18\x04\x00\x00\x00abcd"), packed(t, text, "zstd", "-3", "--no-content-size")...), 2 << 20},
		{Zstd, []byte("\x50\x2a\x4d\x18\xff\xff\xff\xff"), maxWindow},
		{Zstd, []byte("nonsense"), maxWindow},
		{Bzip2, []byte("BZh9"), 0},
	} {
		if got := wanted(test.format, bufio.NewReader(bytes.NewReader(test.data))); got != test.want {
			t.Errorf("%s %x…: %d, want %d", test.format, test.data[:min(20, len(test.data))], got, test.want)
		}
	}
}

// TestWindowsTakeTurns: a second stream with a large window waits until the first has
// ended, and no longer than its context; those with small ones do not wait.
func TestWindowsTakeTurns(t *testing.T) {
	for format, large := range map[Format][]byte{
		XZ:   packed(t, text, "xz", "--lzma2=preset=0,dict=128MiB"),
		Zstd: packed(t, text, "zstd", "--long=27"),
	} {
		w := NewWindows()
		for _, end := range []func(io.ReadCloser) error{
			func(r io.ReadCloser) error { _, err := io.Copy(io.Discard, r); return err }, // and does not close it
			io.ReadCloser.Close,
		} {
			first, err := w.NewReader(t.Context(), format, bytes.NewReader(large))
			if err != nil {
				t.Fatal(err)
			}
			soon, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := w.NewReader(soon, format, bytes.NewReader(large)); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: a second: %v", format, err)
			}
			small, err := w.NewReader(soon, XZ, bytes.NewReader(packed(t, text, "xz")))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(small); err != nil || string(got) != text {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := errors.Join(end(first), first.Close()); err != nil {
				t.Error(err)
			}
		}
		last, err := w.NewReader(t.Context(), format, bytes.NewReader(large))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(last); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", format, len(got), err)
		}
	}
}

// TestWindowsOfBroken: a stream that cannot be begun keeps nobody waiting.
func TestWindowsOfBroken(t *testing.T) {
	w := NewWindows()
	if _, err := w.NewReader(t.Context(), XZ, strings.NewReader("\xfd7zXZ\x00")); fault.CodeOf(err) != fault.Refused {
		t.Errorf("a cut header: %v", err)
	}
	if !w.large.TryAcquire(maxWindow) {
		t.Error("it still has its window")
	}
}

// TestWindowsGrow: a stream cannot begin with a small window and go on with a large
// one, whatever it is made of.
func TestWindowsGrow(t *testing.T) {
	for format, data := range map[Format][]byte{
		XZ:   append(packed(t, text, "xz"), packed(t, text, "xz", "--lzma2=preset=0,dict=128MiB")...),
		Zstd: append(packed(t, text, "zstd"), packed(t, text, "zstd", "--long=27")...),
	} {
		r, err := NewWindows().NewReader(t.Context(), format, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := io.ReadAll(r)
		runtime.ReadMemStats(&after)
		if fault.CodeOf(err) != fault.Refused || len(got) > len(text) {
			t.Errorf("%s: %d bytes, %v", format, len(got), err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: it has allocated %d MiB", format, used>>20)
		}
		r.Close()
	}
}
