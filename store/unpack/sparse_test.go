package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"terrine/store/fault"
	"terrine/tests/need"
)

// TestSparseOfGNU: the files of a sparse tar are those of one that is not, in all
// the formats that GNU tar has for them.
func TestSparseOfGNU(t *testing.T) {
	need.Programs(t, "tar")
	from := t.TempDir()
	makeHoles(t, from)
	for _, flags := range [][]string{
		{"--format=gnu"}, {"--format=pax", "--sparse-version=0.0"}, {"--format=pax", "--sparse-version=0.1"}, {"--format=pax", "--sparse-version=1.0"},
	} {
		data, err := exec.CommandContext(t.Context(), "tar", append(flags, "-c", "--sparse", "-C", from, ".")...).Output()
		if err != nil {
			t.Fatalf("tar %q: %v", flags, err)
		}
		if len(data) > 1<<20 {
			t.Errorf("tar %q: %d bytes: nothing is left out of them", flags, len(data))
		}
		to := t.TempDir()
		if err := Tar(t.Context(), bytes.NewReader(data), to); err != nil {
			t.Errorf("tar %q: %v", flags, err)
			continue
		}
		for _, name := range []string{"empty", "end", "middle", "many", strings.Repeat("long", 40)} {
			want, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("tar %q: %s has %d other bytes, %v; want %d", flags, name, len(got), err, len(want))
			}
		}
		for most, want := range map[limits]string{
			{maxBytes, maxEntries, 1 << 20}: "holes", {1 << 20, maxEntries, maxHoles}: "more bytes",
		} {
			if err := tarWithin(t.Context(), bytes.NewReader(data), t.TempDir(), most); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), want) {
				t.Errorf("tar %q within %v: %v", flags, most, err)
			}
		}
	}
}

// makeHoles makes files with holes: nothing else, at the start, at the end, and more
// of them than one header has room for.
func makeHoles(t *testing.T, dir string) {
	t.Helper()
	const size = 2 << 20
	for name, parts := range map[string][]int64{
		"empty": nil, "end": {0}, "middle": {1 << 20}, strings.Repeat("long", 40): {size - 1},
		"many": {0, 1 << 16, 2 << 16, 3 << 16, 4 << 16, 5 << 16, 6 << 16, 7 << 16, 8 << 16, 9 << 16, 10 << 16, 11 << 16, 12 << 16, 13 << 16,
			14 << 16, 15 << 16, 16 << 16, 17 << 16, 18 << 16, 19 << 16, 20 << 16, 21 << 16, 22 << 16, 23 << 16, 24 << 16, 25 << 16, 26 << 16},
	} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range parts {
			if _, err := f.WriteAt([]byte{byte(i + 1)}, at); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// petabyte is a tar of two kilobytes with a file of 2^50 zeros, as tar --sparse
// --format=pax --sparse-version=0.1 writes it.
func petabyte(t testing.TB, size int64, more ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	records := ""
	for _, r := range append(more,
		"GNU.sparse.numblocks=1", fmt.Sprintf("GNU.sparse.map=%d,0", size), fmt.Sprintf("GNU.sparse.size=%d", size),
	) {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: int64(len(records))})
	if err == nil {
		_, err = w.Write([]byte(records))
	}
	if err == nil {
		err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "holes"})
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	header := b.Bytes()[:512]
	header[156] = tar.TypeXHeader
	copy(header[148:], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b.Bytes()
}

// TestPetabyteIsRefused: at once, and with nothing written.
func TestPetabyteIsRefused(t *testing.T) {
	dir := t.TempDir()
	err := Tar(t.Context(), bytes.NewReader(petabyte(t, 1<<50)), dir)
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), `unpack "holes": refused: the archive has more bytes`) {
		t.Errorf("error %v of class %d", err, fault.CodeOf(err))
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := Tar(t.Context(), bytes.NewReader(petabyte(t, 1<<21)), t.TempDir()); err != nil {
		t.Errorf("two megabytes of zeros: %v", err)
	}
}
