package deflate

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestHuffmanLengths(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	fibonacci := make([]uint32, 30) // gives the deepest tree there is
	fibonacci[0], fibonacci[1] = 1, 1
	for i := 2; i < len(fibonacci); i++ {
		fibonacci[i] = fibonacci[i-1] + fibonacci[i-2]
	}
	random, sparse := make([]uint32, 286), make([]uint32, 286)
	for i := range random {
		random[i] = r.Uint32N(1 << r.Uint32N(18))
	}
	sparse[7], sparse[256], sparse[285] = 5, 1, 70_000
	tests := []struct {
		name  string
		freq  []uint32
		limit int
	}{
		{"equal", []uint32{3, 3, 3, 3}, 7}, {"two", []uint32{0, 1, 0, 9}, 7},
		{"deep", fibonacci, 15}, {"deeper than allowed", fibonacci[:19], 7}, {"random", random, 14}, {"sparse", sparse, 14},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lengths := make([]uint8, len(test.freq))
			new(huffman).lengths(lengths, test.freq, test.limit)
			kraft, bits, total := 0.0, 0.0, 0.0
			for i, l := range lengths {
				if (l == 0) != (test.freq[i] == 0) || int(l) > test.limit {
					t.Fatalf("symbol %d occurs %d times and has length %d", i, test.freq[i], l)
				}
				if l > 0 {
					kraft += math.Exp2(-float64(l))
				}
				bits += float64(l) * float64(test.freq[i])
				total += float64(test.freq[i])
			}
			if kraft != 1 {
				t.Errorf("the code is not complete: %v", kraft)
			}
			entropy := 0.0
			for _, n := range test.freq {
				if n > 0 {
					entropy -= float64(n) * math.Log2(float64(n)/total)
				}
			}
			if bits < entropy || test.limit > 7 && bits > entropy+total {
				t.Errorf("%v bits for an entropy of %v", bits, entropy)
			}
		})
	}
}

func TestHuffmanFewSymbols(t *testing.T) {
	lengths := []uint8{9, 9, 9}
	new(huffman).lengths(lengths, []uint32{0, 0, 0}, 15)
	if lengths[0]+lengths[1]+lengths[2] != 0 {
		t.Errorf("no symbol occurs: %v", lengths)
	}
	new(huffman).lengths(lengths, []uint32{0, 4, 0}, 15)
	if lengths[0] != 0 || lengths[1] != 1 || lengths[2] != 0 {
		t.Errorf("one symbol occurs: %v", lengths)
	}
}

func TestSymbols(t *testing.T) {
	for d := range windowSize {
		e := offsetExtra[offsetSymbol(uint32(d))]
		if d < int(e.base) || d >= int(e.base)+1<<e.bits {
			t.Fatalf("distance %d has a symbol for %d with %d bits", d+1, e.base+1, e.bits)
		}
	}
	for l, s := range lengthSymbol {
		e := lengthExtra[s-firstLength]
		if l < int(e.base) || l >= int(e.base)+1<<e.bits {
			t.Fatalf("length %d has a symbol for %d with %d bits", l+minMatch, e.base+minMatch, e.bits)
		}
	}
	if lengthSymbol[maxMatch-minMatch] != 285 {
		t.Errorf("length %d has symbol %d", maxMatch, lengthSymbol[maxMatch-minMatch])
	}
}

func TestLogarithms(t *testing.T) {
	for _, n := range []uint32{0, 1, 2, 3, 7, 8, 100, 511, 512, 1000, 65_535, 1 << 20} {
		want := 0.0
		if n > 0 {
			want = float64(n) * math.Log2(float64(n))
		}
		if got := float64(nlog(n)) / (1 << logBits); math.Abs(got-want) > float64(n)/128 {
			t.Errorf("%d × log2 is %v, want about %v", n, got, want)
		}
	}
}
