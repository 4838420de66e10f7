package inspect

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"terrine/store"
	"terrine/store/fault"
)

// sparseSize is the size of files without a byte. There could be larger ones.
const sparseSize = 1 << 50

// sparseTar is a tar with one such file, as GNU tar --sparse writes it.
func sparseTar(t testing.TB, name string) []byte {
	t.Helper()
	var records strings.Builder
	for _, r := range []string{
		"GNU.sparse.numblocks=1", fmt.Sprintf("GNU.sparse.map=%d,0", int64(sparseSize)), fmt.Sprintf("GNU.sparse.size=%d", int64(sparseSize)),
	} {
		n := len(r) + len("00 \n")
		fmt.Fprintf(&records, "%d %s\n", n, r)
	}
	p := makeTar(t, file{name: "x", text: records.String()}, file{name: name})
	header := p[:512]
	header[156] = tar.TypeXHeader
	copy(header[148:], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return p
}

// TestSparseMemberIsRefused: two kilobytes must not cost the reading of terabytes.
func TestSparseMemberIsRefused(t *testing.T) {
	_, err := Read(t.Context(), bytes.NewReader(sparseTar(t, "member")))
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), `member "member": is a sparse file`) {
		t.Errorf("error %v of class %d", err, fault.CodeOf(err))
	}
}

// TestSparseFileInLayer: it is told of, and not searched for references.
func TestSparseFileInLayer(t *testing.T) {
	layer := sparseTar(t, pathA[1:])
	s := newSample(t, nil)
	s.fill(t, [2][]byte{layer, s.tars[1]}, nil)
	archive := makeTar(t, s.oci(t)...)
	images, err := Read(t.Context(), bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	if got := images[0].Layers[0].Paths; len(got) != 1 || got[0] != (StorePath{pathA, sparseSize}) {
		t.Errorf("paths %v", got)
	}
	began := time.Now()
	refs, err := References(t.Context(), bytes.NewReader(archive), []store.Path{pathA})
	if took := time.Since(began); err != nil || len(refs) > 0 || took > 20*time.Second {
		t.Errorf("references %v after %v: %v", refs, took, err)
	}
}

// TestSizesDoNotOverflow: sparse files cost nothing, so their sum may be anything.
func TestSizesDoNotOverflow(t *testing.T) {
	var f finder
	for _, name := range []string{"a", "b", "c"} {
		f.add(&tar.Header{Name: pathA[1:] + "/" + name, Size: 1 << 62})
	}
	if len(f.paths) != 1 || f.paths[0] != (StorePath{pathA, math.MaxInt64}) {
		t.Errorf("paths %v", f.paths)
	}
}
