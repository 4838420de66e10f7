package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"terrine/store/fault"
	"terrine/store/nar"
)

// For the tests outside of the package.
var (
	ExportObject = exportObject
	EndExport    = endExport
)

// exported is an object with its NAR in memory, as small ones of tests may be.
type exported struct {
	Info
	nar []byte
}

func readExport(r io.Reader) ([]exported, error) {
	var all []exported
	e := newExportReader(r)
	for {
		nar, err := e.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		data, err := io.ReadAll(nar)
		if err != nil {
			return all, err
		}
		info, err := e.Info()
		if err != nil {
			return all, err
		}
		all = append(all, exported{*info, data})
	}
}

func writeExport(w io.Writer, all []exported) error {
	for _, x := range all {
		err := exportObject(w, &x.Info, func(w io.Writer) error {
			_, err := w.Write(x.nar)
			return err
		})
		if err != nil {
			return err
		}
	}
	return endExport(w)
}

func goldenExport(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/export.bin")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExportReaderReadsNixExport(t *testing.T) {
	var want []Info
	for _, row := range goldenRows(t, "export.txt", 5) {
		hash, err := ParseHash(row[1])
		if err != nil {
			t.Fatal(err)
		}
		info := Info{Path: Path(row[0]), NARHash: hash, Deriver: Path(row[4])}
		for _, c := range row[2] {
			info.NARSize = info.NARSize*10 + int64(c-'0')
		}
		for ref := range strings.FieldsSeq(row[3]) {
			info.References = append(info.References, Path(ref))
		}
		want = append(want, info)
	}
	stream := goldenExport(t)
	all, err := readExport(iotest.HalfReader(bytes.NewReader(stream)))
	if err != nil {
		t.Fatal(err)
	}
	var got []Info
	for _, x := range all {
		got = append(got, x.Info)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("export.bin holds (-want +got):\n%s", diff)
	}
	var again bytes.Buffer
	if err := writeExport(&again, all); err != nil || !bytes.Equal(again.Bytes(), stream) {
		t.Errorf("written again it is %d bytes and not the same %d, %v", again.Len(), len(stream), err)
	}
}

func TestExportReaderRefuses(t *testing.T) {
	stream := goldenExport(t)
	number := func(n int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }
	replace := func(old, new []byte) []byte {
		if !bytes.Contains(stream, old) {
			t.Fatalf("export.bin has no %q", old)
		}
		return bytes.Replace(stream, old, new, 1)
	}
	magic := number(exportMagic)
	firstPath := bytes.Index(stream, magic) + 8
	at := func(i int, with []byte) []byte {
		return append(append(bytes.Clone(stream[:i]), with...), stream[i+len(with):]...)
	}
	first := goldenRows(t, "export.txt", 1)[0][0]
	refs := firstPath + 8 + (len(first)+7)&^7
	// The last object has references; its own path now lies elsewhere.
	last := bytes.LastIndex(stream, magic)
	lastDir := last + bytes.Index(stream[last:], []byte("s/store/"))
	for name, tc := range map[string]struct {
		stream []byte
		want   string
	}{
		"nothing":             {nil, "unexpected EOF"},
		"a NAR":               {[]byte("\x0d\x00\x00\x00\x00\x00\x00\x00nix-archive-1\x00\x00\x00"), "not a stream of nix-store --export"},
		"no end":              {stream[:len(stream)-8], "unexpected EOF"},
		"no more and no end":  {at(len(stream)-8, number(2)), "not the number 2"},
		"data after the end":  {append(bytes.Clone(stream), 0), "data after the end"},
		"two streams":         {append(bytes.Clone(stream), stream...), "data after the end"},
		"another magic":       {replace(magic, number(exportMagic+1)), "after the NAR"},
		"damaged NAR":         {replace([]byte("regular"), []byte("irregul")), `unknown type "irregul"`},
		"relative path":       {at(firstPath+8, []byte("x")), "want an absolute path"},
		"path too long":       {at(firstPath, number(5000)), "at most 4096"},
		"endless path":        {at(firstPath, number(-1)), "at most 4096"},
		"too many references": {at(refs, number(1<<30)), "at most 262144"},
		"signature of kind 7": {at(refs+16, number(7)), "want 0 or 1"},
		"another directory":   {at(lastDir, []byte("S")), "not in /tmp/terrine-golden/S/store"},
	} {
		all, err := readExport(bytes.NewReader(tc.stream))
		if err == nil || !strings.Contains(err.Error(), tc.want) || fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: %d objects, %v; want a refusal with %q", name, len(all), err, tc.want)
		}
	}
	for cut := range stream {
		if _, err := readExport(bytes.NewReader(stream[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the first %d bytes: %v, want io.ErrUnexpectedEOF", cut, err)
		}
	}
}

// TestExportReaderHoldsLittle: references of a stream that nobody would write are not
// all read into memory.
func TestExportReaderHoldsLittle(t *testing.T) {
	all, err := readExport(bytes.NewReader(goldenExport(t)))
	if err != nil {
		t.Fatal(err)
	}
	x := &all[0]
	dir := Path("/" + strings.Repeat("deep/", 700))
	x.Path = dir + Path(x.Path.Base())
	x.References = slices.Repeat([]Path{x.Path}, 1<<14)
	x.Deriver = ""
	var b bytes.Buffer
	if err := writeExport(&b, all[:1]); err != nil {
		t.Fatal(err)
	}
	if _, err := readExport(&b); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "references of more than") {
		t.Errorf("references of %d bytes each: %v", len(x.Path), err)
	}
}

func TestExportReaderPassesErrorsThrough(t *testing.T) {
	broken := errors.New("broken")
	stream := goldenExport(t)
	for cut := range stream {
		_, err := readExport(io.MultiReader(bytes.NewReader(stream[:cut]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || fault.CodeOf(err) == fault.Refused {
			t.Fatalf("broken after %d bytes: %v", cut, err)
		}
	}
}

// Streams of old carry a signature; Nix reads past it, and so do we.
func TestExportReaderReadsPastSignature(t *testing.T) {
	stream := goldenExport(t)
	head, tail := stream[:len(stream)-16], stream[len(stream)-8:]
	signed := appendString(appendNumber(bytes.Clone(head), 1), strings.Repeat("s", 515))
	all, err := readExport(bytes.NewReader(append(signed, tail...)))
	if err != nil || len(all) != 3 {
		t.Errorf("%d objects, %v; want 3", len(all), err)
	}
}

func TestExportWriterChecksTheNAR(t *testing.T) {
	all, err := readExport(bytes.NewReader(goldenExport(t)))
	if err != nil {
		t.Fatal(err)
	}
	all[1].NARSize++
	if err := writeExport(io.Discard, all); fault.CodeOf(err) != fault.Integrity {
		t.Errorf("a NAR of another size: %v", err)
	}
	all[1].NARSize--
	all[1].nar[len(all[1].nar)-1] = 'x'
	if err := writeExport(io.Discard, all[1:2]); fault.CodeOf(err) != fault.Integrity {
		t.Errorf("a NAR of another hash: %v", err)
	}
}

// Nix imports what we export, and exports the same bytes again.
func TestExportLive(t *testing.T) {
	tree := t.TempDir() + "/tree"
	if err := os.MkdirAll(tree+"/empty", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tree+"/file", bytes.Repeat([]byte("contents"), 50_000), 0o755); err != nil {
		t.Fatal(err)
	}
	hash, size, err := nar.Hash(context.Background(), tree)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ContentAddress{MethodNAR, hash}.Path(DefaultDir, "tree", nil)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	t.Cleanup(func() { makeWritable(t, root) })
	var stream bytes.Buffer
	dump := func(w io.Writer) error { return nar.Dump(context.Background(), w, tree) }
	if err := exportObject(&stream, &Info{Path: p, NARHash: hash, NARSize: size}, dump); err != nil {
		t.Fatal(err)
	}
	if err := endExport(&stream); err != nil {
		t.Fatal(err)
	}
	got := outputOfNix(t, bytes.NewReader(stream.Bytes()), nil, "nix-store", "--store", root, "--import")
	if string(got) != string(p)+"\n" {
		t.Fatalf("nix-store --import prints %q, want %q", got, p)
	}
	again := outputOfNix(t, nil, nil, "nix-store", "--store", root, "--export", string(p))
	if !bytes.Equal(again, stream.Bytes()) {
		t.Errorf("nix-store --export gives %d bytes, we made %d, and they differ", len(again), stream.Len())
	}
}

func FuzzExportReader(f *testing.F) {
	stream := goldenExport(f)
	f.Add(stream)
	f.Add(stream[len(stream)-8:])
	f.Add(stream[:len(stream)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := readExport(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := writeExport(&b, all); err != nil {
			t.Fatal(err)
		}
		again, err := readExport(&b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all, again, cmp.AllowUnexported(exported{})); diff != "" {
			t.Errorf("written and read again (-want +got):\n%s", diff)
		}
	})
}
