package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestShowReading: on a terminal a bar says how much of a file is read, and is gone
// afterwards; elsewhere a file that is read at once leaves no line.
func TestShowReading(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, terminal := range []bool{true, false} {
		out := new(bytes.Buffer)
		a := &app{&Env{
			Stderr: out, Now: time.Now, StderrTerminal: terminal,
			Columns: func() int { return 80 }, Getenv: func(string) string { return "" },
		}}
		in, err := a.openInput(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		err = a.showReading(false, "read", in, func(r io.Reader) error {
			_, err := io.CopyN(io.Discard, r, 250)
			a.Stderr.(*progress).refresh()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), " 25 % of 1.0 kB"; strings.Contains(got, want) != terminal || terminal != strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("on a terminal %v: %q", terminal, got)
		}
	}
}
