package store_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

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
	var last []store.Path
	for i := range n {
		var dump bytes.Buffer
		if err := writeObject(&dump, fmt.Sprint(i), files, size); err != nil {
			return err
		}
		sum := digest.FromBytes(dump.Bytes())
		p, err := store.ContentAddress{Method: store.MethodNAR, Hash: sum}.Path(store.DefaultDir, fmt.Sprintf("p%d", i), last)
		if err != nil {
			return err
		}
		info := &store.Info{Path: p, NARHash: sum, NARSize: int64(dump.Len()), References: last}
		if err := store.ExportObject(w, info, func(w io.Writer) error { _, err := w.Write(dump.Bytes()); return err }); err != nil {
			return err
		}
		last = []store.Path{p}
	}
	return store.EndExport(w)
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
