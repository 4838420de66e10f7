package memo

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"terrine/builder/layer"
)

// TestRowsOfNotes makes rows of more notes than a block has, by key, in which what was
// noted later holds.
func TestRowsOfNotes(t *testing.T) {
	found, kept := &notes{}, &notes{}
	want := map[digest.Digest]Segment{}
	for i := range 3 * noteBlock {
		key := digest.FromString(fmt.Sprint(i))
		found.addScaffold(key, "path", &layer.Scaffold{Size: int64(i), Content: 2, Entries: 3}, 0, 0)
		found.addParts(key, "gzip", 4, 0, 0)
		row := Segment{Path: "path", Size: int64(i), Content: 2, Entries: 3, Encoded: Lengths{{"gzip", 4}}}
		if sum := layer.Sum(i); i%3 == 0 {
			kept.addParts(key, "zstd", 1, 1, 0)
			kept.addParts(key, "zstd", 5, 6, sum)
			kept.addParts(key, "gzip", 7, 8, sum)
			row.Encoded, row.Sum = Lengths{{"gzip", 7}, {"zstd", 5}}, &sum
			row.Files = Lengths{{encodedKind("gzip"), 8}, {encodedKind("zstd"), 6}}
		}
		want[key] = row
	}
	gone := digest.FromString("5")
	kept.addParts(gone, "gzip", 1, 1, 1)
	delete(want, gone)
	found.drop([]digest.Digest{gone})
	kept.drop([]digest.Digest{gone})
	got := map[digest.Digest]Segment{}
	last := digest.Digest("")
	for s := range rows(found, kept) {
		if s.key <= last {
			t.Fatalf("%s comes after %s", s.key, last)
		}
		last = s.key
		got[s.key] = s.row
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other rows (-want +got):\n%s", diff)
	}
}

// TestSaveOfManySegments: rows that several transactions write are all there.
func TestSaveOfManySegments(t *testing.T) {
	m, _ := open(t, t.TempDir())
	want := map[digest.Digest]Segment{}
	for i := range 2*savedAtOnce + 1 {
		key, n, sum := digest.FromString(fmt.Sprint(i)), int64(i), layer.Sum(i)
		m.kept.addParts(key, "gzip", n, n+1, sum)
		want[key] = Segment{Encoded: Lengths{{"gzip", n}}, Files: Lengths{{encodedKind("gzip"), n + 1}}, Sum: &sum}
	}
	if err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	got, err := m.Segments(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("other rows (%v, -want +got):\n%s", err, diff)
	}
}
