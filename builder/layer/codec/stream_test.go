package codec

import (
	"bufio"
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"math/rand/v2"
	"testing"
)

func TestStreamIsOneMember(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	plain := make([]byte, 3*MaxPart+17)
	for i := range plain {
		plain[i] = byte(rng.IntN(7))
	}
	c, err := Gzip(Default)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for _, workers := range []int{1, 2, 9} {
		var out bytes.Buffer
		w, err := c.NewStream(&out, workers)
		if err != nil {
			t.Fatal(err)
		}
		for rest := plain; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(MaxPart))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = out.Bytes()
		} else if !bytes.Equal(want, out.Bytes()) {
			t.Errorf("%d workers give other bytes", workers)
		}
	}
	r, err := stdgzip.NewReader(bufio.NewReader(bytes.NewReader(want)))
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("the first member holds %d bytes of %d (%v)", len(got), len(plain), err)
	}
}

func TestOnlyGzipHasStreams(t *testing.T) {
	if _, err := None().NewStream(io.Discard, 1); err == nil {
		t.Error("None has a stream")
	}
}
