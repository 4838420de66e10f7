package tests

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"

	"terrine/tests/lab"
)

// TestTarSplit takes layers apart and puts them together again with tar-split, as
// the stores of docker and podman do with every layer that they load: what they
// push later must be the layer that was loaded, byte for byte.
func TestTarSplit(t *testing.T) {
	lab.EndToEnd(t)
	blobs, _ := oddLayers(t)
	for _, blob := range blobs {
		f, err := os.Open(blob)
		if err != nil {
			t.Fatal(err)
		}
		var metadata bytes.Buffer
		contents := storage.NewBufferFileGetPutter()
		whole := digest.SHA256.Digester()
		apart, done, err := asm.NewInputTarStreamWithDone(io.TeeReader(f, whole.Hash()), storage.NewJSONPacker(&metadata), contents)
		if err == nil {
			_, err = io.Copy(io.Discard, apart)
			err = errors.Join(err, apart.Close(), <-done)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatalf("take %s apart: %v", blob, err)
		}
		together := digest.SHA256.Digester()
		if err := asm.WriteOutputTarStream(contents, storage.NewJSONUnpacker(&metadata), together.Hash()); err != nil {
			t.Fatalf("put %s together: %v", blob, err)
		}
		if together.Digest() != whole.Digest() {
			t.Errorf("%s comes back from tar-split as %s", whole.Digest(), together.Digest())
		}
	}
}
