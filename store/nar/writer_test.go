package nar

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// writeTree writes a small tree with everything in it.
func writeTree(t testing.TB, w *Writer) {
	t.Helper()
	for _, n := range []struct {
		h        Header
		contents string
	}{
		{Header{Type: TypeDirectory}, ""},
		{Header{Path: "a", Type: TypeSymlink, LinkTarget: "../b"}, ""},
		{Header{Path: "b", Type: TypeDirectory}, ""},
		{Header{Path: "b/c", Type: TypeRegular, Size: 3, Executable: true}, "abc"},
		{Header{Path: "b/d", Type: TypeRegular, Size: 8}, "12345678"},
		{Header{Path: "b/e", Type: TypeDirectory}, ""},
		{Header{Path: "c", Type: TypeRegular}, ""},
	} {
		if err := w.WriteHeader(&n.h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, strings.NewReader(n.contents)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("second Close: %v", err)
	}
}

// The constants of encoder.go are strings that somebody typed.
func TestWriterWritesTokens(t *testing.T) {
	var b bytes.Buffer
	writeTree(t, NewWriter(&b))
	want := toks("nix-archive-1", "(", "type", "directory",
		"entry", "(", "name", "a", "node", "(", "type", "symlink", "target", "../b", ")", ")",
		"entry", "(", "name", "b", "node", "(", "type", "directory",
		"entry", "(", "name", "c", "node", "(", "type", "regular", "executable", "", "contents", "abc", ")", ")",
		"entry", "(", "name", "d", "node", "(", "type", "regular", "contents", "12345678", ")", ")",
		"entry", "(", "name", "e", "node", "(", "type", "directory", ")", ")",
		")", ")",
		"entry", "(", "name", "c", "node", "(", "type", "regular", "contents", "", ")", ")",
		")")
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("Writer wrote %q, want %q", b.Bytes(), want)
	}
}

func TestWriterRefuses(t *testing.T) {
	root := &Header{Type: TypeDirectory}
	file := func(path string) *Header { return &Header{Path: path, Type: TypeRegular} }
	dir := func(path string) *Header { return &Header{Path: path, Type: TypeDirectory} }
	for name, tc := range map[string]struct {
		headers []*Header
		want    string
	}{
		"no root":                 {[]*Header{file("a")}, "first node"},
		"two roots":               {[]*Header{root, root}, "empty name"},
		"something after a file":  {[]*Header{file(""), file("a")}, "not the directory being written"},
		"zero header":             {[]*Header{{}}, "unknown type 0"},
		"negative size":           {[]*Header{{Type: TypeRegular, Size: -1}}, "negative"},
		"directory with size":     {[]*Header{{Type: TypeDirectory, Size: 1}}, "no size"},
		"executable symlink":      {[]*Header{{Type: TypeSymlink, LinkTarget: "a", Executable: true}}, "not executable"},
		"file with target":        {[]*Header{{Type: TypeRegular, LinkTarget: "a"}}, "no link target"},
		"symlink without target":  {[]*Header{{Type: TypeSymlink}}, "empty link target"},
		"long target":             {[]*Header{{Type: TypeSymlink, LinkTarget: strings.Repeat("a", 4096)}}, "at most 4095"},
		"long name":               {[]*Header{root, file(strings.Repeat("a", 256))}, "at most 255"},
		"name twice":              {[]*Header{root, file("a"), file("a")}, "byte order"},
		"wrong order":             {[]*Header{root, dir("b"), file("b/x"), file("a")}, "byte order"},
		"directory missing":       {[]*Header{root, file("a/b")}, "not the directory being written"},
		"entry of a closed one":   {[]*Header{root, dir("a"), file("b"), file("a/x")}, "not the directory being written"},
		"dot dot":                 {[]*Header{root, file("..")}, `name ".."`},
		"absolute":                {[]*Header{root, file("/a")}, "begins with a slash"},
		"slash at the end":        {[]*Header{root, dir("a"), file("a/")}, "empty name"},
		"contents before missing": {[]*Header{root, {Path: "a", Type: TypeRegular, Size: 1}, file("b")}, "1 of 1 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWriter(io.Discard)
			var err error
			for _, h := range tc.headers {
				err = w.WriteHeader(h)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("WriteHeader = %v; want an error with %q", err, tc.want)
			}
			if again := w.Close(); again != err {
				t.Errorf("Close = %v after %v", again, err)
			}
		})
	}
	if err := NewWriter(io.Discard).Close(); err == nil {
		t.Error("Close without a node is no error")
	}
}

func TestWriterHoldsToTheSize(t *testing.T) {
	w := NewWriter(io.Discard)
	if err := w.WriteHeader(&Header{Type: TypeRegular, Size: 3}); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("abcd")); n != 3 || !errors.Is(err, errTooLong) {
		t.Errorf("Write = %d, %v; want 3, errTooLong", n, err)
	}
	w = NewWriter(io.Discard)
	if err := w.WriteHeader(&Header{Type: TypeRegular, Size: 3}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "3 of 3 bytes") {
		t.Errorf("Close = %v, want an error about missing contents", err)
	}
	broken := errors.New("broken")
	w = NewWriter(failingWriter{broken})
	if err := w.WriteHeader(&Header{Type: TypeRegular, Size: 3 * bufSize}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 2*bufSize)); !errors.Is(err, broken) {
		t.Errorf("Write = %v, want the writer's error", err)
	}
	if err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("Close = %v, want the writer's error", err)
	}
}
