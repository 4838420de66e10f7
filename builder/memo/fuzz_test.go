package memo

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzChunked gives files that are no cache files to the reader of cache files:
// it reads what a writer has written, and else says that there is damage.
func FuzzChunked(f *testing.F) {
	path := filepath.Join(f.TempDir(), "file")
	w, err := newChunkWriter(path)
	if err != nil {
		f.Fatal(err)
	}
	for _, chunk := range []string{"one", "", "three"} {
		if err := w.add([]byte(chunk)); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.commit(1); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := openChunked(path)
		if err != nil {
			return
		}
		defer c.close()
		total := 0
		for i := range c.ends {
			chunk, err := c.append(nil, i)
			if err != nil {
				return
			}
			total += len(chunk)
		}
		if total > len(b) {
			t.Errorf("%d bytes out of a file of %d", total, len(b))
		}
	})
}
