package deflate

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// repetitive returns data of few values with repetitions of all lengths and
// distances, so that matches give way to others up to the last bytes.
func repetitive(r *rand.Rand, size int) []byte {
	data, values := make([]byte, size), 1+r.IntN(6)
	for i := range data {
		data[i] = byte(r.IntN(values))
		if back := 1 + r.IntN(10); r.IntN(3) == 0 && back <= i {
			data[i] = data[i-back]
		}
	}
	for range size / 50 {
		from, n := r.IntN(size), r.IntN(40)
		copy(data[r.IntN(size):], bytes.Clone(data[from:min(size, from+n)]))
	}
	if r.IntN(2) == 0 {
		clear(data[max(0, size-r.IntN(20)):])
	}
	return data
}

// TestSmallData: no match leads beyond the end, where zeros lie and what the encoder
// had before.
func TestSmallData(t *testing.T) {
	known, err := hex.DecodeString("000003010001000100000000000100000000000002030002020301010002010003000000" +
		"000303000002000100000101000001000101000200000200030300030003000303030303030001010301020003000301000002010000010000010100")
	if err != nil {
		t.Fatal(err)
	}
	used, r := new(Encoder), rand.New(rand.NewPCG(3, 4))
	for i := range 20_000 {
		data := known
		if i > 0 {
			data = repetitive(r, 1+r.IntN(300))
		}
		stream := used.Encode(nil, data)
		if got, err := inflate(stream); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d: %d bytes became %d; %v", i, len(data), len(got), err)
		}
		if i%100 == 0 && !bytes.Equal(new(Encoder).Encode(nil, data), stream) {
			t.Fatalf("%d: the stream depends on what the encoder did before", i)
		}
	}
}
