package nar

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"terrine/store/fault"
)

// toks encodes tokens the slow way: strings as strings, numbers as numbers, and
// raw bytes as they are.
func toks(tokens ...any) []byte {
	var b []byte
	for _, tok := range tokens {
		switch v := tok.(type) {
		case string:
			b = binary.LittleEndian.AppendUint64(b, uint64(len(v)))
			b = append(b, v...)
			b = append(b, make([]byte, (8-len(v)%8)%8)...)
		case int:
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

// in returns a directory with one entry, of which these are the node's tokens.
func in(name string, node ...any) []any {
	all := append([]any{"nix-archive-1", "(", "type", "directory", "entry", "(", "name", name, "node"}, node...)
	return append(all, ")", ")")
}

var emptyDir = []any{"(", "type", "directory", ")"}

func nested(depth int) []any {
	node := emptyDir
	for range depth - 2 {
		node = append(append([]any{"(", "type", "directory", "entry", "(", "name", "d", "node"}, node...), ")", ")")
	}
	return in("d", node...)
}

func entry(name string) []any {
	return append(append([]any{"entry", "(", "name", name, "node"}, emptyDir...), ")")
}

func twoEntries(a, b string) []any {
	all := append([]any{"nix-archive-1", "(", "type", "directory"}, entry(a)...)
	return append(append(all, entry(b)...), ")")
}

func TestReaderRefuses(t *testing.T) {
	regular := []any{"nix-archive-1", "(", "type", "regular"}
	link := []any{"nix-archive-1", "(", "type", "symlink", "target"}
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	for name, tc := range map[string]struct {
		tokens []any
		want   string
	}{
		"nothing":                    {nil, "unexpected EOF"},
		"another magic":              {[]any{"nix-archive-2"}, "not a NAR"},
		"a gzip file":                {[]any{[]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")}, "not a NAR"},
		"no node":                    {[]any{"nix-archive-1"}, "unexpected EOF"},
		"no parenthesis":             {[]any{"nix-archive-1", "type"}, `want "("`},
		"unknown type":               {[]any{"nix-archive-1", "(", "type", "fifo", ")"}, `unknown type "fifo"`},
		"endless keyword":            {[]any{"nix-archive-1", "(", "type", 1 << 30}, "at most 32"},
		"negative length":            {[]any{"nix-archive-1", "(", "type", -1}, "at most 32"},
		"no contents":                {append(regular, ")"), "want contents"},
		"contents too large":         {append(regular, "contents", -1), "contents of 18446744073709551615 bytes"},
		"executable after contents":  {append(regular, "contents", "x", "executable", "", ")"), `want ")"`},
		"executable twice":           {append(regular, "executable", "", "executable", "", "contents", "x", ")"), `want "contents"`},
		"executable with a value":    {append(regular, "executable", "yes", "contents", "x", ")"), `want ""`},
		"padding not zero":           {append(regular, "contents", one, []byte("xnotzero")), "padding is not zero"},
		"padding of a tag not zero":  {[]any{"nix-archive-1", one, []byte("(notzero")}, "padding is not zero"},
		"contents truncated":         {append(regular, "contents", 1<<30, "x"), "unexpected EOF"},
		"padding truncated":          {append(regular, "contents", one, []byte("x\x00\x00")), "unexpected EOF"},
		"symlink without target":     {[]any{"nix-archive-1", "(", "type", "symlink", ")"}, `want "target"`},
		"empty target":               {append(link, "", ")"), "empty link target"},
		"NUL in a target":            {append(link, "a\x00b", ")"), "NUL"},
		"target too long":            {append(link, strings.Repeat("t", 4096), ")"), "at most 4095"},
		"empty name":                 {in("", emptyDir...), "empty name"},
		"dot":                        {in(".", emptyDir...), `name "."`},
		"dot dot":                    {in("..", emptyDir...), `name ".."`},
		"slash":                      {in("a/b", emptyDir...), "slash or NUL"},
		"absolute":                   {in("/etc", emptyDir...), "slash or NUL"},
		"NUL in a name":              {in("a\x00b", emptyDir...), "slash or NUL"},
		"name too long":              {in(strings.Repeat("n", 256), emptyDir...), "at most 255"},
		"a name twice":               {twoEntries("a", "a"), `"a" at byte`},
		"not sorted":                 {twoEntries("b", "a"), "byte order"},
		"sorted as signed bytes":     {twoEntries("\xe9", "a"), "byte order"},
		"prefix after what it heads": {twoEntries("ab", "a"), "byte order"},
		"65 deep":                    {nested(MaxDepth + 1), "nested deeper than 64"},
		"name after node":            {[]any{"nix-archive-1", "(", "type", "directory", "entry", "(", "node"}, `want "name"`},
		"entry without parenthesis":  {[]any{"nix-archive-1", "(", "type", "directory", "entry", "name"}, `want "("`},
		"entry without node":         {[]any{"nix-archive-1", "(", "type", "directory", "entry", "(", "name", "a", "("}, `want "node"`},
		"no type":                    {[]any{"nix-archive-1", "(", "kind"}, `want "type"`},
		"symlink not closed":         {append(link, "x", "("), `want ")"`},
		"unknown tag in a directory": {[]any{"nix-archive-1", "(", "type", "directory", "meta"}, `not "meta"`},
		"entry not closed":           {in("a", append(emptyDir, ")", "x")...), `not "x"`},
		"data after the end":         {append([]any{"nix-archive-1"}, append(emptyDir, "more")...), "after the end"},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(toks(tc.tokens...)))
			var err error
			for err == nil {
				_, err = r.Next()
			}
			if err == io.EOF || !strings.Contains(err.Error(), tc.want) || fault.CodeOf(err) != fault.Refused {
				t.Fatalf("Next = %v; want a refusal with %q", err, tc.want)
			}
			if _, again := r.Next(); again != err {
				t.Errorf("Next = %v after %v", again, err)
			}
			if _, again := r.Read(make([]byte, 1)); again != err {
				t.Errorf("Read = %v after %v", again, err)
			}
		})
	}
}

func TestReaderAcceptsTheLimits(t *testing.T) {
	for name, tokens := range map[string][]any{
		"64 deep":        nested(MaxDepth),
		"longest name":   in(strings.Repeat("n", MaxNameLen), emptyDir...),
		"longest target": {"nix-archive-1", "(", "type", "symlink", "target", strings.Repeat("t", MaxTargetLen), ")"},
		"bytes as names": twoEntries("a", "\xe9"),
	} {
		r := NewReader(bytes.NewReader(toks(tokens...)))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReaderReturnsTheTree(t *testing.T) {
	want := []string{
		"  directory 0 false ",
		" a symlink 0 false ../b",
		" b directory 0 false ",
		" b/c regular 3 true ",
		" b/d regular 8 false ",
		" b/e directory 0 false ",
		" c regular 0 false ",
	}
	var b bytes.Buffer
	writeTree(t, NewWriter(&b))
	r := NewReader(iotest.OneByteReader(&b))
	var got []string
	contents := map[string]string{}
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf(" %s %v %d %v %s", h.Path, h.Type, h.Size, h.Executable, h.LinkTarget))
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		contents[h.Path] = string(data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if contents["b/c"] != "abc" || contents["b/d"] != "12345678" || contents["b"] != "" {
		t.Errorf("contents %q", contents)
	}
}

func TestReaderPassesErrorsThrough(t *testing.T) {
	broken := errors.New("broken")
	odd := goldenNAR(t, "odd")
	for _, n := range []int{0, 8, 500, 20000, len(odd)} {
		r := NewReader(io.MultiReader(bytes.NewReader(odd[:n]), iotest.ErrReader(broken)))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, broken) || fault.CodeOf(err) == fault.Refused || err.Error() != "read NAR: broken" {
			t.Errorf("Next after %d bytes = %v, want the reader's error, and nothing of the NAR", n, err)
		}
	}
}

func TestDelimitLeavesTheRest(t *testing.T) {
	for _, g := range goldens(t) {
		if g.name == "sparse" {
			continue
		}
		nar := goldenNAR(t, g.name)
		br := bufio.NewReader(io.MultiReader(bytes.NewReader(nar), strings.NewReader("rest")))
		got, err := io.ReadAll(Delimit(br))
		if err != nil || !bytes.Equal(got, nar) {
			t.Errorf("Delimit(%s) gives %d bytes of %d, %v", g.name, len(got), len(nar), err)
		}
		if rest, err := io.ReadAll(br); err != nil || string(rest) != "rest" {
			t.Errorf("Delimit(%s) leaves %q, %v", g.name, rest, err)
		}
		if err := iotest.TestReader(Delimit(bufio.NewReader(bytes.NewReader(nar))), nar); err != nil {
			t.Errorf("Delimit(%s): %v", g.name, err)
		}
	}
}

// FuzzReader holds that no input makes a Reader panic, and that what it accepts
// is written again as the same bytes, by Writer and by Delimit.
func FuzzReader(f *testing.F) {
	for _, name := range []string{"file", "executable", "symlink", "empty", "zero"} {
		f.Add(goldenNAR(f, name))
	}
	var b bytes.Buffer
	writeTree(f, NewWriter(&b))
	f.Add(b.Bytes())
	f.Add(toks(nested(4)...))
	f.Add(toks(twoEntries("a", "b")...))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		var again bytes.Buffer
		w := NewWriter(&again)
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatalf("WriteHeader of what was read: %v", err)
			}
			if _, err := io.Copy(w, r); err != nil {
				return
			}
		}
		if err := w.Close(); err != nil || !bytes.Equal(again.Bytes(), data) {
			t.Fatalf("written again: %v, %x, want %x", err, again.Bytes(), data)
		}
		got, err := io.ReadAll(Delimit(bufio.NewReader(bytes.NewReader(data))))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("Delimit: %v, %x, want %x", err, got, data)
		}
	})
}
