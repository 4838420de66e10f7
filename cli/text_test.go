package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestSentence(t *testing.T) {
	disk := errors.New("unlink x: permission denied")
	for want, err := range map[string]error{
		"a":                           errors.New("a"),
		"a\nb":                        errors.New("a\nb"), // a name may have that in it
		"gc: a; b":                    fmt.Errorf("gc: %w", errors.Join(errors.New("a"), errors.New("b"))),
		"gc: a; b; c":                 fmt.Errorf("gc: %w", errors.Join(errors.New("a"), errors.Join(errors.New("b"), errors.New("c")))),
		"a: x (y)":                    fmt.Errorf("a: %w (y)", errors.New("x")),
		"unlink x: permission denied": errors.Join(disk, disk),
	} {
		if got := sentence(err); got != want {
			t.Errorf("sentence(%q) = %q; want %q", err, got, want)
		}
	}
}

func TestParseAge(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"12h": 12 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute,
		"30d": 30 * 24 * time.Hour, "1.5d": 36 * time.Hour, "36500d": 36500 * 24 * time.Hour,
		"": 0, "0d": 0, "-1d": 0, "3": 0, "d": 0, "1h30d": 0, "876001h": 0, "36501d": 0, "200000d": 0, "876000d": 0,
	} {
		if got, err := parseAge(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("parseAge(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "500M": 500e6, "2.5GB": 2.5e9, "10 k": 10e3, "1T": 1e12, "1e3": 1000, "1000000T": 1e18,
		"": 0, "0": 0, "-1M": 0, "B": 0, "1Q": 0, "NaN": 0, "1000001T": 0,
	} {
		if got, err := parseSize(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

// TestWriteFileReplacesOnlyFiles holds writeFile from putting a file in the place
// of a pipe, a symlink or a device.
func TestWriteFileReplacesOnlyFiles(t *testing.T) {
	dir := t.TempDir()
	file, link, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := errors.Join(os.Symlink("file", link), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0) // which waits for nobody
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, name := range []string{file, link, fifo} {
		before, _ := os.Lstat(name)
		if err := writeFile(t.Context(), name, []byte("to "+name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.Lstat(name)
		if err != nil || before != nil && after.Mode().Type() != before.Mode().Type() {
			t.Errorf("%s became %v (%v)", name, after, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "to "+link {
		t.Errorf("the link leads to %q (%v)", got, err)
	}
	got := make([]byte, len("to "+fifo))
	if _, err := reader.Read(got); err != nil || string(got) != "to "+fifo {
		t.Errorf("the pipe has %q (%v)", got, err)
	}
	if err := writeFile(t.Context(), dir, nil); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a directory: %v", err)
	}
}

func TestPercent(t *testing.T) {
	for part, want := range map[float64]string{0.0449: "4.5%", 1: "100.0%", -0.1: "-10.0%", -0.0004: "0.0%", 0: "0.0%"} {
		if got := percent(part); got != want {
			t.Errorf("percent(%g) = %q, want %q", part, got, want)
		}
	}
}
