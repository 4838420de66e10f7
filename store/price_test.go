package store_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"terrine/store"
	"terrine/store/nar"
)

// importChain imports n paths, each of which refers to the one before it.
func importChain(t testing.TB, s *store.Store, n int) {
	t.Helper()
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeChain(w, n, 1, 100)) }()
	infos, err := s.ImportStream(t.Context(), r)
	if err != nil || len(infos) != n {
		t.Fatalf("ImportStream = %d paths, %v", len(infos), err)
	}
}

// writeChain writes an export of n paths with some files of some bytes.
func writeChain(w io.Writer, n, files, size int) error {
	e := store.NewExportWriter(w)
	var last []store.Path
	for i := range n {
		var dump bytes.Buffer
		if err := writeObject(&dump, fmt.Sprint(i), files, size); err != nil {
			return err
		}
		sum := digest.FromBytes(dump.Bytes())
		p, err := store.SourcePath(store.DefaultDir, fmt.Sprintf("p%d", i), sum, last, false)
		if err != nil {
			return err
		}
		info := &store.Info{Path: p, NARHash: sum, NARSize: int64(dump.Len()), References: last}
		if err := e.WriteObject(info, func(w io.Writer) error { _, err := w.Write(dump.Bytes()); return err }); err != nil {
			return err
		}
		last = []store.Path{p}
	}
	return e.Close()
}

func writeObject(w io.Writer, text string, files, size int) error {
	n := nar.NewWriter(w)
	if err := n.WriteHeader(&nar.Header{Type: nar.TypeDirectory}); err != nil {
		return err
	}
	body := []byte(strings.Repeat(text+"\n", size/(len(text)+1)+1)[:size])
	for i := range files {
		if err := n.WriteHeader(&nar.Header{Type: nar.TypeRegular, Path: fmt.Sprintf("f%04d", i), Size: int64(size)}); err != nil {
			return err
		}
		if _, err := n.Write(body); err != nil {
			return err
		}
	}
	return n.Close()
}

// BenchmarkDurability adds a closure of 1,000 files, 8 KB each, in 10 paths, with
// syncs and without, in turns, and prints the median of the ratios: what
// durability costs. The bound is 1.15. Before each run the disk is synced, so
// that none pays for what the one before it wrote.
func BenchmarkDurability(b *testing.B) {
	var stream bytes.Buffer
	if err := writeChain(&stream, 10, 100, 8<<10); err != nil {
		b.Fatal(err)
	}
	one := func(noSync bool) time.Duration {
		s, err := store.Open(b.Context(), b.TempDir(), store.Options{NoSync: noSync})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		unix.Sync()
		began := time.Now()
		if _, err := s.ImportStream(b.Context(), bytes.NewReader(stream.Bytes())); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	var ratios []float64
	var with, without time.Duration
	for b.Loop() {
		synced, unsynced := one(false), one(true)
		with, without = with+synced, without+unsynced
		ratios = append(ratios, float64(synced)/float64(unsynced))
	}
	slices.SortFunc(ratios, cmp.Compare)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(float64(with.Milliseconds())/float64(len(ratios)), "ms/synced")
	b.ReportMetric(float64(without.Milliseconds())/float64(len(ratios)), "ms/unsynced")
}
